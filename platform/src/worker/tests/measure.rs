//! Figures, for whoever asks: `cargo test -p powernode --release -- --ignored --nocapture worker::tests::measure`.

#![expect(clippy::print_stdout, reason = "figures are for whoever asked")]

use super::*;

/// How fast `jobs` that do nothing run.
fn drain(it: &Fixture, jobs: usize, per_node: u32) {
    let limits = queue::Limits { max_per_node: Some(per_node), ..queue::Limits::default() };
    it.core(move |conn| Ok(queue::set_limits(conn, "shop", limits)?));
    let mut last = 0;
    for _ in 0..jobs.div_ceil(1_000) {
        last = it.enqueue(vec![job(); 1_000]).pop().unwrap();
    }
    let ran = Arc::<AtomicU32>::default();
    let count = ran.clone();
    let handler = move |_: Task| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Outcome::Done }
    };
    let most = WorkerSettings { concurrency: per_node, ..WorkerSettings::default() };
    let begun = Instant::now();
    let worker = Worker::start(it.workshop(handler), most).unwrap();
    it.until(last, State::Done);
    until(|| (ran.load(Ordering::SeqCst) as usize >= jobs).then_some(()), || "too few".into());
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "  {jobs} jobs, {per_node} at once: {:.0}/s in {} turns",
        jobs as f64 / seconds,
        worker.turns()
    );
    worker.stop();
}

/// How long after its commit a job begins, alone.
fn latency(it: &Fixture) {
    let begun = Arc::new(Mutex::new(Instant::now()));
    let times = Arc::<Mutex<Vec<Duration>>>::default();
    let (since, noted) = (begun.clone(), times.clone());
    let worker = it.work(move |_: Task| {
        noted.lock().unwrap().push(since.lock().unwrap().elapsed());
        async { Outcome::Done }
    });
    for _ in 0..300 {
        let shop = it.put(job());
        *begun.lock().unwrap() = Instant::now();
        it.until(shop, State::Done);
    }
    worker.stop();
    let mut times = times.lock().unwrap().clone();
    times.sort();
    println!("  enqueue to start: median {:?}, p99 {:?}", times[150], times[297]);
}

#[test]
#[ignore = "takes a minute and prints figures"]
fn figures() {
    on_both(|it| {
        println!("dialect {}", it.engine.dialect());
        for per_node in [5, 64, 128, 512] {
            drain(it, 10_000, per_node);
        }
        latency(it);
    });
}
