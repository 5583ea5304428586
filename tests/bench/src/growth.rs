//! Whether a request costs more where there are many extensions.

use anyhow::Result;

use crate::{
    figure::Figure,
    load::{Ask, Clients},
    place::{Place, slug},
    routes::{Took, rounds},
};

/// Extensions of the larger platform, each with fifty routes.
const MANY: usize = 200;
const ROUNDS: usize = 12;
const TURNS: usize = 8;
const REQUESTS: usize = 320;

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let places = [Place::serve(1, |_| ())?, Place::serve(MANY, |_| ())?];
    // One extension's routes on both; then those of all in turn, whose code and tables no cache holds.
    let one = asks(&places, |_| 1)?;
    let all = asks(&places, |place| place.booted.registry.entries.len())?;
    Ok(vec![
        compare("dispatch_growth", &places, &one)?.at_most(1.10),
        compare("dispatch_growth_all", &places, &all)?,
    ])
}

fn compare(name: &'static str, places: &[Place; 2], asks: &[Vec<Ask>; 2]) -> Result<Figure> {
    let mut clients = [Clients::connect(places[0].port)?, Clients::connect(places[1].port)?];
    let rounds = rounds(ROUNDS, TURNS, |side| {
        Took::of(&places[side], || clients[side].ask(asks[side].iter().cycle(), REQUESTS))
    })?;
    let each = (TURNS * REQUESTS) as f64;
    let pairs: Vec<_> = rounds
        .iter()
        .map(|(one, many)| (one.worker * 1e6 / each, many.worker * 1e6 / each))
        .collect();
    Ok(Figure::beside(name, "us", &pairs))
}

/// Requests to all small routes of the first extensions of each platform.
fn asks(places: &[Place; 2], extensions: fn(&Place) -> usize) -> Result<[Vec<Ask>; 2]> {
    let of = |place: &Place| -> Vec<_> {
        let count = extensions(place);
        (0..47 * count)
            .map(|it| {
                // A step that meets each extension, and each of its routes.
                let (extension, route) = (it * 67 % count, 3 + it / count % 47);
                let path = format!("/api/v1/{}/things/{route:02}", slug(extension));
                Ask::new("GET", &path, &place.token, "")
            })
            .collect()
    };
    Ok([of(&places[0]), of(&places[1])])
}
