//! A route of an extension beside the same handler in the program itself.
//!
//! One worker serves both, behind the same layers, and both ask for a bearer with a
//! permission; so what differs is the way through the table, the gate and the boundary.

use std::{fs, iter, time::Instant};

use actix_web::{HttpResponse, web};
use anyhow::{Result, ensure};
use powernode::http::{caller::Caller, error::ApiError};
use serde::Serialize;

use crate::{
    figure::Figure,
    load::{Ask, Clients},
    place::Place,
};

#[path = "../../fixtures/bench/src/work.rs"]
mod work;

/// Rounds of a figure; in each, both sides take turns.
const ROUNDS: usize = 15;
const TURNS: usize = 16;
const REQUESTS: usize = 320;

const CASES: [(&str, &str, &str, &str); 3] = [
    ("route_small_json", "route_small_json_cpu", "GET", "small"),
    ("route_10k", "route_10k_cpu", "GET", "rows"),
    ("route_post_json", "route_post_json_cpu", "POST", "orders"),
];

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let place = Place::serve(1, native)?;
    let mut clients = Clients::connect(place.port)?;
    let order = order();
    let mut figures = Vec::new();
    for (name, cpu, method, path) in CASES {
        let body = if method == "POST" { order.as_str() } else { "" };
        let ask =
            |prefix| Ask::new(method, &format!("/api/v1/{prefix}/{path}"), &place.token, body);
        let (native, plugin) = (ask("native"), ask("fixture-000"));
        let (one, other) = (clients.once(&native)?, clients.once(&plugin)?);
        ensure!(one == other, "the sides answer differently: {one} and {other}");
        let rounds = rounds(ROUNDS, TURNS, |side| {
            let ask = if side == 0 { &native } else { &plugin };
            Took::of(&place, || clients.ask(iter::repeat(ask), REQUESTS))
        })?;
        let requests = (TURNS * REQUESTS) as f64;
        let rates = |pick: fn(&Took) -> f64| -> Vec<_> {
            rounds
                .iter()
                .map(|(one, other)| (requests / pick(one), requests / pick(other)))
                .collect()
        };
        figures.push(Figure::beside(name, "req/s", &rates(|it| it.wall)).at_least(0.95));
        figures.push(Figure::beside(cpu, "req/s", &rates(|it| it.worker)));
    }
    Ok(figures)
}

/// What some requests took, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    /// By the clock.
    pub(crate) wall: f64,
    /// On the worker's processor: what else the machine does is not in it.
    pub(crate) worker: f64,
}

impl Took {
    /// Measures what `run` asks of a platform.
    pub(crate) fn of(place: &Place, run: impl FnOnce() -> Result<()>) -> Result<Self> {
        let (begun, before) = (Instant::now(), place.worker_time()?);
        run()?;
        let worker = (place.worker_time()? - before) / 1e9;
        Ok(Self { wall: begun.elapsed().as_secs_f64(), worker })
    }

    fn add(&mut self, other: Self) {
        self.wall += other.wall;
        self.worker += other.worker;
    }
}

/// Runs both sides in turn, so many turns in each round, after one round that does not count.
pub(crate) fn rounds(
    rounds: usize,
    turns: usize,
    mut run: impl FnMut(usize) -> Result<Took>,
) -> Result<Vec<(Took, Took)>> {
    let mut all = Vec::new();
    for round in 0..=rounds {
        let mut sums = [Took::default(); 2];
        for turn in 0..turns {
            // The side that goes first changes: A B, B A.
            for side in [turn % 2, 1 - turn % 2] {
                sums[side].add(run(side)?);
            }
        }
        if round > 0 {
            all.push((sums[0], sums[1]));
        }
    }
    Ok(all)
}

/// The same routes in the program itself.
pub(crate) fn native(config: &mut web::ServiceConfig) {
    config
        .route("/api/v1/native/small", web::get().to(small))
        .route("/api/v1/native/rows", web::get().to(rows))
        .route("/api/v1/native/orders", web::post().to(orders));
}

#[derive(Serialize)]
struct Envelope<T> {
    success: bool,
    data: T,
}

fn ok(data: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(Envelope { success: true, data })
}

async fn small(caller: Caller) -> Result<HttpResponse, ApiError> {
    caller.require("fixture_000.read")?;
    Ok(ok(work::small()))
}

async fn rows(caller: Caller) -> Result<HttpResponse, ApiError> {
    caller.require("fixture_000.read")?;
    Ok(ok(work::rows()))
}

async fn orders(caller: Caller, order: web::Json<work::Order>) -> Result<HttpResponse, ApiError> {
    caller.require("fixture_000.read")?;
    Ok(ok(work::receipt(&order)))
}

/// An order of about 800 bytes.
fn order() -> String {
    let line = |number: u32| serde_json::json!({ "article": format!("article-{number:04}"), "amount": number, "price": 250 });
    let lines: Vec<_> = (10..25).map(line).collect();
    serde_json::json!({ "customer": "cus_0190f6c7b2a07d5e", "lines": lines }).to_string()
}

/// How much memory a process has, in kilobytes.
pub(crate) fn resident(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap_or_default();
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}
