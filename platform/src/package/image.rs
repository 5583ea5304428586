use std::collections::BTreeSet;

use memchr::memmem;
use object::{
    Architecture, BinaryFormat, Object, ObjectSection, ObjectSymbol, SectionKind,
    elf::{self, FileHeader64},
    read::elf::{ElfFile, FileHeader, ProgramHeader},
};
use powernode_abi::note::{self, Note};

use super::{Glibc, PackageError};

/// Where abi_stable's loader begins to read a library.
pub(super) const ROOT: &str = powernode_abi::abi_stable::library::ROOT_MODULE_LOADER_NAME;

/// What a library's bytes say; none of its code ran.
#[derive(Clone, Debug)]
pub struct Image {
    /// The processor it is built for, such as `x86_64`.
    pub machine: String,
    /// Its note.
    pub note: Note,
    /// The oldest glibc that has all it needs; none, where it needs no glibc.
    pub glibc: Option<Glibc>,
    /// The libraries it needs.
    pub needed: Vec<String>,
    /// A database that it brings, and how that shows.
    pub bundled: Option<(&'static str, String)>,
    /// What may go wrong with it, in sentences.
    pub warnings: Vec<String>,
}

/// What gives a thing away: a defined symbol, a needed library, or all of these texts in the data.
struct Trace {
    what: &'static str,
    symbols: &'static [&'static str],
    libraries: &'static [&'static str],
    texts: &'static [&'static [u8]],
}

/// Stripping hides symbols, and the texts remain.
const DATABASES: [Trace; 2] = [
    Trace {
        what: "SQLite",
        symbols: &["sqlite3_open", "sqlite3_open_v2", "sqlite3_libversion", "sqlite3_prepare_v2"],
        libraries: &["libsqlite3."],
        texts: &[b"SQLite format 3\0"],
    },
    Trace {
        what: "libpq",
        symbols: &["PQconnectdb", "PQconnectStart", "PQexec", "PQlibVersion"],
        libraries: &["libpq."],
        texts: &[b"PGSERVICEFILE\0", b"PGREQUIREPEER\0"],
    },
];

const ALLOCATORS: [Trace; 3] = [
    Trace {
        what: "jemalloc",
        symbols: &["je_malloc", "_rjem_malloc", "_rjem_mallocx", "mallocx", "je_mallctl"],
        libraries: &["libjemalloc."],
        texts: &[b"<jemalloc>: "],
    },
    Trace {
        what: "mimalloc",
        symbols: &["mi_malloc", "mi_malloc_aligned", "mi_heap_new"],
        libraries: &["libmimalloc."],
        texts: &[b"mimalloc: "],
    },
    Trace {
        what: "another allocator",
        symbols: &["sn_malloc", "sn_rust_alloc", "tc_malloc", "rpmalloc"],
        libraries: &["libsnmallocshim", "libtcmalloc", "librpmalloc"],
        texts: &[],
    },
];

impl Image {
    /// Reads a library's bytes.
    ///
    /// # Errors
    ///
    /// [`PackageError`] where they are no plugin library for any machine.
    pub fn read(bytes: &[u8]) -> Result<Self, PackageError> {
        let file = object::File::parse(bytes).map_err(format_error)?;
        let elf_facts = match &file {
            object::File::Elf64(elf) => ElfFacts::read(elf, bytes)?,
            _ if file.format() == BinaryFormat::MachO => ElfFacts::default(),
            other => {
                let message = format!(
                    "it is a {}-bit {:?} file",
                    if other.is_64() { 64 } else { 32 },
                    other.format()
                );
                return Err(PackageError::Format { message });
            }
        };
        let note = read_note(&file)?;
        let exported = |name: &str| {
            file.dynamic_symbols().chain(file.symbols()).any(|it| {
                it.is_definition()
                    && it.is_global()
                    && plain(it.name_bytes().unwrap_or_default()) == name.as_bytes()
            })
        };
        if !exported(ROOT) {
            return Err(PackageError::NoRoot { symbol: ROOT });
        }
        let facts = Facts::collect(&file, &elf_facts.needed);
        let bundled = DATABASES.iter().find_map(|it| Some((it.what, facts.evidence(it)?)));
        let mut warnings: Vec<String> = ALLOCATORS
            .iter()
            .filter_map(|it| Some((it.what, facts.evidence(it)?)))
            .map(|(what, evidence)| format!("the library brings {what} ({evidence}): memory must be freed by the side that made it"))
            .collect();
        if elf_facts.static_tls {
            warnings.push(
                "the library uses static thread-local storage (DF_STATIC_TLS), of which a process has little; build it without an initial-exec model".to_owned(),
            );
        }
        Ok(Self {
            machine: machine_name(file.architecture()),
            note,
            glibc: elf_facts.glibc,
            needed: elf_facts.needed,
            bundled,
            warnings,
        })
    }
}

fn format_error(error: object::Error) -> PackageError {
    PackageError::Format { message: error.to_string() }
}

fn read_note(file: &object::File<'_>) -> Result<Note, PackageError> {
    let name = if file.format() == BinaryFormat::MachO { "__powernode" } else { note::SECTION };
    let section = file.section_by_name(name).ok_or(PackageError::NoNote)?;
    let bytes = section.data().map_err(format_error)?;
    Note::parse(bytes).map_err(PackageError::Note)
}

/// The architecture's name as a target triple begins.
fn machine_name(architecture: Architecture) -> String {
    match architecture {
        Architecture::X86_64 => "x86_64".to_owned(),
        Architecture::Aarch64 => "aarch64".to_owned(),
        Architecture::Riscv64 => "riscv64".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Mach-O writes an underscore before a symbol's name.
fn plain(name: &[u8]) -> &[u8] {
    match name {
        [b'_', rest @ ..] if rest == ROOT.as_bytes() => rest,
        other => other,
    }
}

/// What only ELF says.
#[derive(Default)]
struct ElfFacts {
    needed: Vec<String>,
    glibc: Option<Glibc>,
    static_tls: bool,
}

impl ElfFacts {
    fn read<E: object::Endian>(
        elf: &ElfFile<'_, FileHeader64<E>>,
        bytes: &[u8],
    ) -> Result<Self, PackageError> {
        let endian = elf.endian();
        let header = elf.elf_header();
        if header.e_type(endian) != elf::ET_DYN {
            let message = "it is an ELF file, but no shared library".to_owned();
            return Err(PackageError::Format { message });
        }
        for segment in elf.elf_program_headers() {
            // Touching a mapped page behind the file's end is a SIGBUS.
            let end = segment.p_offset(endian).checked_add(segment.p_filesz(endian));
            if end.is_none_or(|end| end > bytes.len() as u64) {
                let message = format!("a segment ends behind the file's {} bytes", bytes.len());
                return Err(PackageError::Truncated { message });
            }
        }
        let mut facts = Self { glibc: glibc_floor(elf, bytes)?, ..Self::default() };
        let dynamic = elf.elf_dynamic_table().map_err(format_error)?;
        for entry in &dynamic {
            if entry.tag == elf::DT_NEEDED {
                let name = dynamic.string(entry).map_err(format_error)?;
                facts.needed.push(String::from_utf8_lossy(name).into_owned());
            } else if entry.tag == elf::DT_FLAGS {
                facts.static_tls = entry.val & elf::DF_STATIC_TLS.0 != 0;
            }
        }
        Ok(facts)
    }
}

/// The newest `GLIBC_x.y` among the versions that the library needs.
fn glibc_floor<E: object::Endian>(
    elf: &ElfFile<'_, FileHeader64<E>>,
    bytes: &[u8],
) -> Result<Option<Glibc>, PackageError> {
    let (endian, sections) = (elf.endian(), elf.elf_section_table());
    let Some((mut needs, link)) = sections.gnu_verneed(endian, bytes).map_err(format_error)? else {
        return Ok(None);
    };
    let strings = sections.strings(endian, bytes, link).map_err(format_error)?;
    let mut newest = None;
    while let Some((_, mut versions)) = needs.next().map_err(format_error)? {
        while let Some(version) = versions.next().map_err(format_error)? {
            let name = version.name(endian, strings).map_err(format_error)?;
            newest = newest.max(Glibc::from_symbol(name));
        }
    }
    Ok(newest)
}

/// What traces are looked for in.
struct Facts<'data> {
    symbols: BTreeSet<&'data [u8]>,
    needed: &'data [String],
    data: Vec<&'data [u8]>,
}

impl<'data> Facts<'data> {
    fn collect(file: &object::File<'data>, needed: &'data [String]) -> Self {
        // A library has thousands of symbols; sorting them all is a tenth of what loading it costs.
        let traces = || DATABASES.iter().chain(&ALLOCATORS);
        let tells = |name: &&[u8]| {
            traces().flat_map(|it| it.symbols).any(|symbol| symbol.as_bytes() == *name)
        };
        let symbols = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|it| it.is_definition())
            .filter_map(|it| it.name_bytes().ok())
            .filter(tells)
            .collect();
        let data = file
            .sections()
            .filter(|it| {
                matches!(
                    it.kind(),
                    SectionKind::ReadOnlyData
                        | SectionKind::ReadOnlyString
                        | SectionKind::ReadOnlyDataWithRel
                        | SectionKind::Data
                )
            })
            .filter_map(|it| it.data().ok())
            .collect();
        Self { symbols, needed, data }
    }

    fn evidence(&self, trace: &Trace) -> Option<String> {
        if let Some(name) = trace.symbols.iter().find(|it| self.symbols.contains(it.as_bytes())) {
            return Some(format!("symbol `{name}`"));
        }
        let wanted = |name: &&String| trace.libraries.iter().any(|it| name.starts_with(it));
        if let Some(name) = self.needed.iter().find(wanted) {
            return Some(format!("it needs `{name}`"));
        }
        let holds = |text: &&[u8]| self.data.iter().any(|it| memmem::find(it, text).is_some());
        if !trace.texts.is_empty() && trace.texts.iter().all(holds) {
            let text = String::from_utf8_lossy(trace.texts[0]);
            return Some(format!(
                "the text `{}` in its data",
                text.trim_end_matches('\0').trim_end()
            ));
        }
        None
    }
}
