use std::{fmt, str::FromStr, sync::OnceLock};

use object::{LittleEndian, elf::FileHeader64, read::elf::FileHeader};
use powernode_abi::note::{self, Revision};
use semver::Version;

/// What a library must fit.
#[derive(Clone, Debug)]
pub struct Host {
    /// The platform's target triple.
    pub triple: String,
    /// The interface that the platform has.
    pub abi: Revision,
    /// The version of plugin-api that the platform carries.
    pub api: Version,
    /// The running glibc; none, where the platform uses none.
    pub glibc: Option<Glibc>,
    /// Answers those of the named processor features that this machine lacks.
    pub missing_features: fn(&[String]) -> Vec<String>,
}

impl Host {
    /// This process and this machine.
    pub fn detect() -> Self {
        static GLIBC: OnceLock<Option<Glibc>> = OnceLock::new();
        Self {
            triple: note::TARGET.to_owned(),
            abi: Revision::own(),
            // The workspace has one version; were it none, a range would refuse, not the boot.
            api: Version::parse(env!("CARGO_PKG_VERSION")).unwrap_or(Version::new(0, 0, 0)),
            glibc: *GLIBC.get_or_init(running_glibc),
            missing_features,
        }
    }
}

/// A version of glibc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    /// Always 2 so far.
    pub major: u16,
    /// The release, such as 34.
    pub minor: u16,
    /// The correction, such as 5 in 2.2.5.
    pub patch: u16,
}

impl Glibc {
    /// Reads a version's name in a library, such as `GLIBC_2.34`; other names are no such version.
    pub(super) fn from_symbol(name: &[u8]) -> Option<Self> {
        std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?.parse().ok()
    }
}

impl FromStr for Glibc {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('.').map(|it| it.parse::<u16>().map_err(drop));
        let major = numbers.next().ok_or(())??;
        let minor = numbers.next().ok_or(())??;
        let patch = numbers.next().unwrap_or(Ok(0))?;
        Ok(Self { major, minor, patch })
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        if *patch == 0 {
            write!(f, "{major}.{minor}")
        } else {
            write!(f, "{major}.{minor}.{patch}")
        }
    }
}

/// The newest version that the libc mapped into this process defines, which is what the loader compares with.
fn running_glibc() -> Option<Glibc> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        let path = &line[line.find('/')?..];
        let name = path.rsplit('/').next()?;
        (name == "libc.so.6" || name.starts_with("libc-2.")).then_some(path)
    })?;
    newest_defined(&std::fs::read(path).ok()?)
}

fn newest_defined(library: &[u8]) -> Option<Glibc> {
    let header = FileHeader64::<LittleEndian>::parse(library).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, library).ok()?;
    let (mut definitions, link) = sections.gnu_verdef(endian, library).ok()??;
    let strings = sections.strings(endian, library, link).ok()?;
    let mut newest = None;
    while let Some((_, mut names)) = definitions.next().ok()? {
        if let Some(name) = names.next().ok()? {
            newest = newest.max(name.name(endian, strings).ok().and_then(Glibc::from_symbol));
        }
    }
    newest
}

/// Answers those of `names` that are known and not there; an unknown name cannot be judged.
fn missing_features(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| has_feature(name) == Some(false)).cloned().collect()
}

#[cfg(target_arch = "x86_64")]
fn has_feature(name: &str) -> Option<bool> {
    macro_rules! detect {
        ($($name:tt)*) => {
            match name {
                $($name => Some(std::arch::is_x86_feature_detected!($name)),)*
                _ => None,
            }
        };
    }
    detect! {
        "adx" "aes" "avx" "avx2" "avx512bitalg" "avx512bw" "avx512cd" "avx512dq" "avx512f" "avx512ifma"
        "avx512vbmi" "avx512vbmi2" "avx512vl" "avx512vnni" "avx512vpopcntdq" "bmi1" "bmi2" "cmpxchg16b"
        "f16c" "fma" "fxsr" "gfni" "lzcnt" "movbe" "pclmulqdq" "popcnt" "rdrand" "rdseed" "sha" "sse" "sse2"
        "sse3" "sse4.1" "sse4.2" "sse4a" "ssse3" "tbm" "vaes" "vpclmulqdq" "xsave" "xsavec" "xsaveopt" "xsaves"
    }
}

#[cfg(target_arch = "aarch64")]
fn has_feature(name: &str) -> Option<bool> {
    macro_rules! detect {
        ($($name:tt)*) => {
            match name {
                $($name => Some(std::arch::is_aarch64_feature_detected!($name)),)*
                _ => None,
            }
        };
    }
    detect! {
        "aes" "bf16" "crc" "dotprod" "fp16" "i8mm" "jsconv" "lse" "neon" "pmull" "rcpc" "rdm" "sha2" "sha3" "sve" "sve2"
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_feature(_: &str) -> Option<bool> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_glibc_is_found() {
        let glibc = Host::detect().glibc.unwrap();
        assert!(glibc >= "2.17".parse().unwrap() && glibc.major == 2, "{glibc}");
    }

    #[test]
    fn versions_are_numbers() {
        let versions = ["2.2.5", "2.9", "2.34"].map(|it| it.parse::<Glibc>().unwrap());
        assert!(versions.is_sorted());
        assert_eq!(versions.map(|it| it.to_string()), ["2.2.5", "2.9", "2.34"]);
        assert_eq!(Glibc::from_symbol(b"GLIBC_PRIVATE"), None);
    }

    #[test]
    fn this_machine_has_what_this_test_was_built_with() {
        let features: Vec<_> = note::FEATURES.split(',').map(str::to_owned).collect();
        assert_eq!(missing_features(&features), Vec::<String>::new());
    }
}
