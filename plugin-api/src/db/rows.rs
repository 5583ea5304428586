//! Rows on their way back.

use std::{ops::Range, rc::Rc, vec};

use diesel::{
    backend::Backend,
    row::{Field, PartialRow, Row, RowIndex, RowSealed},
};
use powernode_abi::{Cell, RowBatch, data::tag};

use super::backend::HostBackend;

/// A value that is not NULL, as [`FromSql`](diesel::deserialize::FromSql) reads it.
#[derive(Clone, Copy, Debug)]
pub struct HostValue<'a> {
    pub(crate) tag: u32,
    pub(crate) number: i64,
    pub(crate) bytes: &'a [u8],
}

/// All rows of an answer, one after the other.
#[derive(Debug)]
pub struct HostRows {
    batches: vec::IntoIter<RowBatch>,
    batch: Rc<RowBatch>,
    /// The row to come, and the first that is not there.
    rows: Range<usize>,
}

impl HostRows {
    /// The rows of `batches`, one after the other.
    pub(crate) fn new(batches: Vec<RowBatch>) -> Self {
        Self { batches: batches.into_iter(), batch: Rc::default(), rows: 0..0 }
    }
}

impl Iterator for HostRows {
    type Item = diesel::QueryResult<HostRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(index) = self.rows.next() {
                return Some(Ok(HostRow { batch: Rc::clone(&self.batch), index }));
            }
            let batch = self.batches.next()?;
            self.rows = 0..whole_rows(&batch);
            self.batch = Rc::new(batch);
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rows.len() + self.batches.as_slice().iter().map(whole_rows).sum::<usize>();
        (left, Some(left))
    }
}

impl ExactSizeIterator for HostRows {}

/// The rows whose cells are all there.
fn whole_rows(batch: &RowBatch) -> usize {
    // A statement that answers no column answers rows nobody can read.
    let whole = batch.cells.len().checked_div(batch.cols as usize).unwrap_or(0);
    whole.min(batch.rows as usize)
}

/// One row of an answer.
#[derive(Debug)]
pub struct HostRow {
    batch: Rc<RowBatch>,
    index: usize,
}

impl HostRow {
    fn columns(&self) -> usize {
        self.batch.cols as usize
    }
}

impl RowSealed for HostRow {}

impl RowIndex<usize> for HostRow {
    fn idx(&self, index: usize) -> Option<usize> {
        (index < self.columns()).then_some(index)
    }
}

impl RowIndex<&str> for HostRow {
    fn idx(&self, name: &str) -> Option<usize> {
        let index = self.batch.names.iter().position(|column| column == name)?;
        self.idx(index)
    }
}

impl<'a> Row<'a, HostBackend> for HostRow {
    type Field<'f>
        = HostField<'f>
    where
        'a: 'f,
        Self: 'f;
    type InnerPartialRow = Self;

    fn field_count(&self) -> usize {
        self.columns()
    }

    fn get<'b, I>(&'b self, index: I) -> Option<HostField<'b>>
    where
        'a: 'b,
        Self: RowIndex<I>,
    {
        let column = self.idx(index)?;
        let cell = self.batch.cells.get(self.index * self.columns() + column)?;
        Some(HostField { batch: &self.batch, column, cell })
    }

    fn partial_row(&self, range: Range<usize>) -> PartialRow<'_, Self> {
        PartialRow::new(self, range)
    }
}

/// One value of a row.
#[derive(Debug)]
pub struct HostField<'a> {
    batch: &'a RowBatch,
    column: usize,
    cell: &'a Cell,
}

impl Field<'_, HostBackend> for HostField<'_> {
    fn field_name(&self) -> Option<&str> {
        self.batch.names.get(self.column).map(|name| name.as_str())
    }

    fn value(&self) -> Option<<HostBackend as Backend>::RawValue<'_>> {
        let cell = self.cell;
        let (number, bytes) = match cell.tag {
            tag::NULL => return None,
            tag::NUMERIC | tag::TEXT | tag::BINARY | tag::UUID | tag::JSON | tag::JSONB => {
                match heap_range(cell).and_then(|range| self.batch.heap.get(range)) {
                    Some(bytes) => (0, bytes),
                    None => return Some(HostValue { tag: BROKEN, number: 0, bytes: &[] }),
                }
            }
            _ => (cell.val.cast_signed(), &[][..]),
        };
        Some(HostValue { tag: cell.tag, number, bytes })
    }

    fn is_null(&self) -> bool {
        self.cell.tag == tag::NULL
    }
}

/// The tag of a value whose cell points outside of the heap: no type reads it.
pub(crate) const BROKEN: u32 = u32::MAX;

fn heap_range(cell: &Cell) -> Option<Range<usize>> {
    let start = usize::try_from(cell.val).ok()?;
    let end = start.checked_add(cell.len as usize)?;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(cells: &[Cell], heap: &[u8], cols: u32, rows: u32) -> RowBatch {
        RowBatch {
            cols,
            rows,
            cells: cells.to_vec().into(),
            heap: heap.to_vec().into(),
            names: Vec::new().into(),
        }
    }

    fn text(val: u64, len: u32) -> Cell {
        Cell { tag: tag::TEXT, len, val }
    }

    fn first(batch: RowBatch) -> Option<(u32, Vec<u8>)> {
        let row = HostRows::new(vec![batch]).next()?.unwrap();
        let field = row.get(0)?;
        let value = field.value()?;
        Some((value.tag, value.bytes.to_vec()))
    }

    #[test]
    fn text_is_read_from_the_heap() {
        assert_eq!(first(batch(&[text(1, 2)], b"abc", 1, 1)), Some((tag::TEXT, b"bc".to_vec())));
    }

    #[test]
    fn a_cell_outside_of_the_heap_is_broken() {
        for cell in [text(2, 2), text(u64::MAX, 1), text(4, 0)] {
            assert_eq!(first(batch(&[cell], b"abc", 1, 1)).map(|(tag, _)| tag), Some(BROKEN));
        }
    }

    #[test]
    fn rows_without_cells_are_not_there() {
        assert_eq!(HostRows::new(vec![batch(&[text(0, 1)], b"a", 2, 9)]).count(), 0);
        assert_eq!(HostRows::new(vec![batch(&[text(0, 1)], b"a", 0, 9)]).count(), 0);
        assert_eq!(HostRows::new(vec![batch(&[text(0, 1)], b"a", 1, 9)]).count(), 1);
    }
}
