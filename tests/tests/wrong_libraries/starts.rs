//! What takes a start of its own, or more than one.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use powernode_tests::{
    library::{Build, Library},
    report::Report,
};

use crate::bench::{Bench, Row, check, check_sound, chmod, sound};

pub(crate) fn run(faulty: &Library, report: &mut Report, rows: &mut Vec<Row>) -> Result<()> {
    hung(faulty, report, rows).context("hung")?;
    ended_the_platform(faulty, report, rows).context("ended the platform")?;
    swapped_once(faulty, report, rows).context("swapped once")?;
    swapped_always(faulty, report, rows).context("swapped always")?;
    overwritten(faulty, report, rows).context("overwritten")?;
    open_to_everybody(faulty, report, rows).context("open to everybody")
}

/// What hung is not tried again, until an operator releases it.
fn hung(faulty: &Library, report: &mut Report, rows: &mut Vec<Row>) -> Result<()> {
    let mut bench = Bench::new(faulty)?;
    let slug = bench.fault("init hangs, first start", "init_hang", "register timed_out")?;
    let stopped = bench.run(report, rows)?.stop()?;
    let instance = stopped.start()?;
    let name = "init hung at the start before";
    check(&instance, report, rows, name, &slug, "open quarantined")?;
    check_sound(&instance, report, name);
    let released = instance.cli(&["ext", "release", &slug, "--json"])?;
    ensure!(released.code == Some(0), "{released:?}");
    let instance = instance.stop()?.start()?;
    let name = "init hangs again after its release";
    check(&instance, report, rows, name, &slug, "register timed_out")?;
    check_sound(&instance, report, name);
    Ok(())
}

/// Code of an extension that ends the process outside of the probe costs one start.
fn ended_the_platform(faulty: &Library, report: &mut Report, rows: &mut Vec<Row>) -> Result<()> {
    let mut bench = Bench::new(faulty)?;
    let name = "init ended the whole platform at the start before";
    bench.fault(name, "init_abort", "open quarantined")?;
    let said = bench.setup.cli(&["serve", "--port", "0"])?;
    report.case("init ends the whole platform", "None", format!("{:?}", said.code));
    bench.run(report, rows)?;
    Ok(())
}

/// The file is exchanged after it was verified, and before it is opened.
fn swapped_once(faulty: &Library, report: &mut Report, rows: &mut Vec<Row>) -> Result<()> {
    let mut bench = Bench::new(faulty)?;
    let name = "library swapped between verify and open";
    let plot = bench.plot();
    let package = plot.package()?;
    package.write(&plot.directory)?;
    let good = package.library().sha256();
    let stored = bench.setup.data().join("store").join(format!("{good}.so"));
    let (file, evil) = (plot.directory.join(package.file()), evil(&plot.slug)?);
    let swap = thread::spawn(move || -> Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if stored.exists() {
                fs::write(&file, evil.bytes())?;
                return Ok(true);
            }
            thread::yield_now();
        }
        Ok(false)
    });
    let instance = bench.run(report, rows)?;
    let swapped = swap.join().map_err(|_| anyhow::anyhow!("the swapping thread died"))??;
    ensure!(swapped, "the library was never stored");
    let outcome = check(&instance, report, rows, name, &plot.slug, "started")?;
    report.case(format!("{name}: what runs is what was verified"), good, outcome.sha256);
    Ok(())
}

/// The file is exchanged all the time: whatever is read, nothing else is opened.
fn swapped_always(faulty: &Library, report: &mut Report, rows: &mut Vec<Row>) -> Result<()> {
    let mut bench = Bench::new(faulty)?;
    let plot = bench.plot();
    let package = plot.package()?;
    package.write(&plot.directory)?;
    let good = package.library().clone();
    let file = plot.directory.join(package.file());
    let (beside, evil) = (plot.directory.join("lib/other"), evil(&plot.slug)?);
    let done = Arc::new(AtomicBool::new(false));
    let stop = done.clone();
    let (from, to, library) = (beside, file, good.clone());
    let swap = thread::spawn(move || -> Result<u32> {
        let mut swaps = 0;
        while !stop.load(Ordering::Relaxed) {
            let bytes = if swaps % 2 == 0 { evil.bytes() } else { library.bytes() };
            fs::write(&from, bytes)?;
            fs::rename(&from, &to)?;
            swaps += 1;
        }
        Ok(swaps)
    });
    let instance = bench.run(report, rows);
    done.store(true, Ordering::Relaxed);
    let swaps = swap.join().map_err(|_| anyhow::anyhow!("the swapping thread died"))??;
    ensure!(swaps > 10, "the library was swapped {swaps} times only");
    let instance = instance?;
    let name = "library swapped all the time";
    // Which of the two it was is chance; that the other never ran is not.
    let shown = instance.cli(&["ext", "show", &plot.slug, "--json"])?.json()?;
    let started = shown["extension"]["state"] == "started";
    let expected = if started { "started" } else { "verify size_mismatch" };
    let outcome = check(&instance, report, rows, name, &plot.slug, expected)?;
    ensure!(!started || outcome.sha256 == good.sha256(), "other bytes run: {outcome:?}");
    Ok(())
}

/// A library that ends whoever opens it.
fn evil(slug: &str) -> Result<Library> {
    let library = Library::built("constructor", Build::Plain)?;
    library.stamped(slug)?.patched("constructor=none", "constructor=abor")
}

/// Files are changed in place while their libraries run.
fn overwritten(faulty: &Library, report: &mut Report, rows: &mut Vec<Row>) -> Result<()> {
    let mut bench = Bench::new(faulty)?;
    bench.plant("(control) sound before it is overwritten", "started", |plot| {
        plot.package()?.write(&plot.directory)
    })?;
    let (all, extensions) = (installed(&bench.setup.extensions())?, bench.setup.extensions());
    let instance = bench.run(report, rows)?;
    let (before, slug) = (instance.id(), "wrong-00001");
    for file in &all {
        // In place: the same file, as a careless copy over it does.
        let length = fs::metadata(file)?.len();
        File::options().write(true).open(file)?.set_len(0)?;
        File::options().write(true).open(file)?.set_len(length)?;
    }
    let name = "library overwritten while it runs";
    check(&instance, report, rows, name, slug, "started")?;
    check_sound(&instance, report, name);
    report.case(format!("{name}: the process"), before.to_string(), instance.id().to_string());

    // At the next start none of those files is what its manifest says; two are put back.
    let put_back = [sound(1), sound(2)];
    for slug in &put_back {
        let directory = extensions.join(slug);
        powernode_tests::library::Package::new(slug, faulty.stamped(slug)?).write(&directory)?;
    }
    let instance = instance.stop()?;
    // The platform's own copy is damaged as well: it is written anew.
    let store = instance.setup().data().join("store");
    let mut damaged = 0;
    for entry in fs::read_dir(&store)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "so") {
            chmod(&path, 0o600)?;
            fs::write(&path, b"damaged")?;
            chmod(&path, 0o400)?;
            damaged += 1;
        }
    }
    ensure!(damaged >= 10, "only {damaged} libraries were stored");
    let instance = instance.start()?;
    let name = "library overwritten before the next start";
    check(&instance, report, rows, name, slug, "verify hash_mismatch")?;
    for slug in &put_back {
        let name = format!("store damaged, library put back, `{slug}`");
        check(&instance, report, rows, &name, slug, "started")?;
    }
    Ok(())
}

/// The libraries of all extensions in a directory.
fn installed(extensions: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for extension in fs::read_dir(extensions)? {
        for file in fs::read_dir(extension?.path().join("lib"))? {
            all.push(file?.path());
        }
    }
    Ok(all)
}

/// The directory of all extensions may be written by everybody: nothing in it can be believed, and the core serves.
fn open_to_everybody(faulty: &Library, report: &mut Report, rows: &mut Vec<Row>) -> Result<()> {
    let bench = Bench::new(faulty)?;
    chmod(&bench.setup.extensions(), 0o777)?;
    let instance = bench.setup.start()?;
    for number in 1..=9 {
        let name = format!("directory of all extensions open to everybody, {}", sound(number));
        check(&instance, report, rows, &name, &sound(number), "scan world_writable")?;
    }
    let answer = instance.anonymous().get("/api/v1/config")?;
    report.case("the core serves without them", "true", answer.data()["core_mode"].to_string());
    Ok(())
}
