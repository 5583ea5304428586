//! The rows of an answer, packed for the way across the boundary.

use powernode_abi::{Cell, RowBatch, data::tag};

/// Most rows that one statement may answer.
pub const MAX_ROWS: u32 = 1_000_000;
/// Most bytes that one statement may answer, cells and texts together.
pub const MAX_BYTES: usize = 64 << 20;

/// The answer is larger than the platform allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer has more than {MAX_ROWS} rows or {MAX_BYTES} bytes: ask for it in pages")]
pub struct TooLarge;

/// Rows that are being collected.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    cols: u32,
    rows: u32,
    cells: Vec<Cell>,
    heap: Vec<u8>,
    wants_names: bool,
    names: Vec<String>,
}

impl Rows {
    /// No rows yet; column names are kept if `wants_names`.
    pub(crate) fn new(wants_names: bool) -> Self {
        Self { wants_names, ..Self::default() }
    }

    /// The answer has these columns.
    pub(crate) fn begin(&mut self, names: impl ExactSizeIterator<Item = String>) {
        self.cols = u32::try_from(names.len()).unwrap_or(u32::MAX);
        if self.wants_names {
            self.names = names.collect();
        }
    }

    /// A NULL.
    pub(crate) fn push_null(&mut self) {
        self.push_number(tag::NULL, 0);
    }

    /// A value that fits in 64 bits.
    pub(crate) fn push_number(&mut self, tag: u32, val: u64) {
        self.cells.push(Cell { tag, len: 0, val });
    }

    /// Text or bytes.
    pub(crate) fn push_bytes(&mut self, tag: u32, bytes: &[u8]) -> Result<(), TooLarge> {
        if self.heap.len() + bytes.len() > MAX_BYTES {
            return Err(TooLarge);
        }
        let len = u32::try_from(bytes.len()).map_err(|_| TooLarge)?;
        self.cells.push(Cell { tag, len, val: self.heap.len() as u64 });
        self.heap.extend_from_slice(bytes);
        Ok(())
    }

    /// All cells of a row were pushed.
    pub(crate) fn end_row(&mut self) -> Result<(), TooLarge> {
        self.rows += 1;
        let bytes = self.heap.len() + size_of_val(self.cells.as_slice());
        if self.rows > MAX_ROWS || bytes > MAX_BYTES { Err(TooLarge) } else { Ok(()) }
    }

    /// The rows as text, where they hold nothing but text and NULL.
    pub(crate) fn texts(&self) -> Vec<Vec<String>> {
        let text = |cell: &Cell| {
            let begin = usize::try_from(cell.val).unwrap_or(usize::MAX);
            let bytes = self.heap.get(begin..).and_then(|heap| heap.get(..cell.len as usize));
            String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
        };
        let row = |cells: &[Cell]| cells.iter().map(text).collect();
        self.cells.chunks((self.cols as usize).max(1)).map(row).collect()
    }

    /// Hands the rows over.
    pub(crate) fn finish(self) -> RowBatch {
        RowBatch {
            cols: self.cols,
            rows: self.rows,
            cells: self.cells.into(),
            heap: self.heap.into(),
            names: self.names.into_iter().map(Into::into).collect(),
        }
    }
}
