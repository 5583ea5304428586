//! The gates against their definition, over every combination: what the snapshot works out beforehand must be what
//! one gets by asking gate after gate.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::cell::RefCell;
use std::collections::BTreeSet;

use chrono::DateTime;
use powernode::gate::{
    Actor, Context, Edit, Expression, Flag, FlagSet, Gate, Gates, Groups, Installed, Percentage,
    Verdict,
};
use powernode_tests::report::{Failure, Report, cases};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

#[test]
fn gate_properties() {
    let mut report = Report::begin("gate_properties");
    every_pair(&mut report);
    random_worlds(&mut report, cases(256));
    report.finish();
}

/// Every combination of the gates of an extension, with every combination of those of its one dependency.
fn every_pair(report: &mut Report) {
    let singles = every_extension();
    for below in &singles {
        for above in &singles {
            let mut above = above.clone();
            above.dependencies = vec![0];
            let world = World { extensions: vec![below.clone(), above], steps: Vec::new() };
            report.count(hold(&world));
        }
    }
}

fn every_extension() -> Vec<Facts> {
    let flags = [
        None,
        Some(vec![]),
        Some(vec![Edit::Enable]),
        Some(vec![Edit::EnableActor("Account;1".parse().unwrap())]),
        Some(vec![Edit::EnableActor("User;2".parse().unwrap())]),
        Some(vec![Edit::EnableGroup("admins".into())]),
        Some(vec![Edit::EnableGroup("nobody registered this".into())]),
        Some(vec![of_admins()]),
        Some(vec![share(50_000)]),
        Some(vec![share(100_000)]),
    ];
    let mut all = Vec::new();
    for bits in 0..8 {
        for flag in &flags {
            all.push(Facts {
                loaded: bits & 1 == 0,
                state_disabled: bits & 2 != 0,
                quarantined: bits & 4 != 0,
                flag: flag.clone(),
                dependencies: Vec::new(),
            });
        }
    }
    all
}

/// Worlds of up to six extensions with any dependencies, circles and gaps among them, which change while they are asked.
fn random_worlds(report: &mut Report, cases: u32) {
    let counted = RefCell::new(report);
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let outcome = TestRunner::new(config).run(&worlds(), |world| match hold(&world) {
        Ok(()) => {
            counted.borrow_mut().count(Ok(()));
            Ok(())
        }
        Err(failure) => Err(TestCaseError::fail(format!("{failure:?}"))),
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(_, world)) => counted.into_inner().count(hold(&world)),
        Err(TestError::Abort(why)) => panic!("the worlds cannot be made: {why}"),
    }
}

/// Asks the gates of a world everything there is to ask, before and after each of its steps.
fn hold(world: &World) -> Result<(), Failure> {
    let mut now = world.extensions.clone();
    let gate = Gate::new(groups());
    ask(&gate, &[], world, 0)?;
    gate.install(now.iter().enumerate().map(|(place, facts)| facts.installed(place)).collect());
    gate.publish(flags(0, &now));
    ask(&gate, &now, world, 0)?;
    for (number, step) in world.steps.iter().enumerate() {
        take(step, &gate, &mut now, number);
        ask(&gate, &now, world, number + 1)?;
    }
    Ok(())
}

fn take(step: &Step, gate: &Gate, now: &mut [Facts], number: usize) {
    let place = step.extension % now.len();
    let it = gate.find(&slug(place)).unwrap();
    let facts = &mut now[place];
    match &step.change {
        StepChange::Flag(edit) => {
            facts.flag.get_or_insert_default().push(edit.clone());
            gate.publish(flags(i64::try_from(number).unwrap() + 1, now));
        }
        StepChange::Quarantine => {
            facts.quarantined = true;
            gate.quarantine(it, "it failed");
        }
        StepChange::Release => {
            facts.quarantined = false;
            gate.release(it);
        }
    }
}

fn ask(gate: &Gate, now: &[Facts], world: &World, step: usize) -> Result<(), Failure> {
    for place in 0..=now.len() {
        let slug = slug(place);
        for who in everybody() {
            let actor = who.actor();
            let expected = match verdict(now, place, &who, &mut Vec::new()) {
                Ok(()) => "open",
                Err(code) => code,
            };
            let got = match gate.find(&slug).map(|it| gate.admit(it, actor.as_ref())) {
                Some(Ok(_)) => "open".to_owned(),
                Some(Err(refusal)) => refusal.code().to_string(),
                None => "EXTENSION_NOT_INSTALLED".to_owned(),
            };
            let explained = gate.explain(&slug, actor.as_ref(), Context::default());
            let shut = explained.gates.iter().any(|step| step.verdict == Verdict::Closed);
            let unfixed = explained
                .gates
                .iter()
                .any(|step| step.verdict == Verdict::Closed && step.fix.is_none());
            let code = explained.code.map_or("open".to_owned(), |code| code.to_string());
            let enabled = gate.extension_enabled(&slug, actor.as_ref());
            let agreed = [
                ("admit", expected, got.as_str()),
                ("explain", expected, code.as_str()),
                ("a gate is shown closed", yes(expected != "open"), yes(shut)),
                ("a closed gate lacks its fix", "no", yes(unfixed)),
                ("extension_enabled", yes(expected == "open"), yes(enabled)),
            ];
            for (question, expected, got) in agreed {
                if expected != got {
                    let case =
                        format!("{question} of {slug} for {who:?} after {step} steps in {world:?}");
                    return Err(Failure { case, expected: expected.into(), got: got.into() });
                }
            }
        }
    }
    Ok(())
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

// The definition: slow, plain, and written without a look at the code it is held against.

/// Whether an extension may be called: gate after gate, then each dependency in the same way.
fn verdict(
    now: &[Facts],
    place: usize,
    who: &Who,
    path: &mut Vec<usize>,
) -> Result<(), &'static str> {
    let Some(it) = now.get(place) else { return Err("EXTENSION_NOT_INSTALLED") };
    if it.state_disabled {
        return Err("EXTENSION_DISABLED");
    }
    if !it.loaded && !it.quarantined {
        return Err("EXTENSION_NOT_LOADED");
    }
    if !it.flag_is_on(&flag_name(place), who) {
        return Err("EXTENSION_DISABLED");
    }
    if it.quarantined {
        // Loaded or not.
        return Err("EXTENSION_QUARANTINED");
    }
    path.push(place);
    let all = it
        .dependencies
        .iter()
        .all(|below| !path.contains(below) && verdict(now, *below, who, path).is_ok());
    path.pop();
    if all { Ok(()) } else { Err("EXTENSION_DEPENDENCY_OFF") }
}

#[derive(Clone, Debug)]
struct Facts {
    loaded: bool,
    state_disabled: bool,
    quarantined: bool,
    /// What was done to its flag; nothing: there is none.
    flag: Option<Vec<Edit>>,
    dependencies: Vec<usize>,
}

impl Facts {
    fn flag_is_on(&self, name: &str, who: &Who) -> bool {
        let Some(edits) = &self.flag else { return false };
        let (mut on, mut actors, mut groups, mut percent, mut admins) =
            (false, BTreeSet::new(), BTreeSet::new(), 0.0, false);
        for edit in edits {
            match edit {
                Edit::Enable | Edit::Disable => {
                    on = *edit == Edit::Enable;
                    actors.clear();
                    groups.clear();
                    percent = 0.0;
                    admins = false;
                }
                Edit::EnableActor(actor) => drop(actors.insert(actor.to_string())),
                Edit::DisableActor(actor) => drop(actors.remove(&actor.to_string())),
                Edit::EnableGroup(group) => drop(groups.insert(group.clone())),
                Edit::DisableGroup(group) => drop(groups.remove(group)),
                Edit::PercentageOfActors(share) => percent = f64::from(*share),
                Edit::EnableExpression(_) => admins = true,
                Edit::DisableExpression => admins = false,
                Edit::PercentageOfTime(_) => unreachable!("no extension has it"),
            }
        }
        let Some(mut ids) = who.ids.clone() else {
            let groups = groups.contains("admins");
            return on || !actors.is_empty() || groups || percent > 0.0 || admins;
        };
        ids.sort();
        let hash = crc32(format!("{name}{}", ids.concat()).as_bytes());
        on || ids.iter().any(|id| actors.contains(id))
            || (who.admin && (admins || groups.contains("admins")))
            || f64::from(hash % 100_000) < percent * 1_000.0
    }

    fn installed(&self, place: usize) -> Installed {
        Installed {
            slug: slug(place),
            flag: flag_name(place),
            loaded: if self.loaded { Ok(()) } else { Err("it could not be loaded".into()) },
            state_disabled: self.state_disabled,
            quarantined: self.quarantined.then(|| "it failed".into()),
            capabilities: Vec::new(),
            dependencies: self.dependencies.clone(),
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[derive(Clone, Debug)]
struct Who {
    /// Nothing: there is no actor.
    ids: Option<Vec<String>>,
    admin: bool,
}

impl Who {
    fn actor(&self) -> Option<Actor> {
        let ids = self.ids.as_ref()?;
        let actor = Actor::of_account(ids[0].parse().unwrap()).with_admin(self.admin);
        Some(ids.get(1).map_or(actor, |user| actor.with_user(user.parse().unwrap())))
    }
}

fn everybody() -> [Who; 5] {
    let who = |ids: &[&str], admin| Who {
        ids: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
        admin,
    };
    [
        Who { ids: None, admin: false },
        who(&["Account;1"], false),
        who(&["Account;2"], false),
        who(&["Account;2", "User;2"], false),
        who(&["Account;3", "AdminUser;1"], true),
    ]
}

// The worlds.

#[derive(Clone, Debug)]
struct World {
    extensions: Vec<Facts>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    extension: usize,
    change: StepChange,
}

#[derive(Clone, Debug)]
enum StepChange {
    Flag(Edit),
    Quarantine,
    Release,
}

fn worlds() -> impl Strategy<Value = World> {
    let often = proptest::bool::weighted(0.85);
    let seldom = proptest::bool::weighted(0.1);
    let flag = prop_oneof![
        1 => Just(None),
        9 => prop::collection::vec(edits(), 0..4).prop_map(Some),
    ];
    let dependencies = prop::collection::vec(0..7_usize, 0..3);
    let facts = (often, seldom, seldom, flag, dependencies).prop_map(
        |(loaded, state_disabled, quarantined, flag, dependencies)| Facts {
            loaded,
            state_disabled,
            quarantined,
            flag,
            dependencies,
        },
    );
    let change = prop_oneof![
        6 => edits().prop_map(StepChange::Flag),
        1 => Just(StepChange::Quarantine),
        2 => Just(StepChange::Release),
    ];
    let step = (any::<usize>(), change).prop_map(|(extension, change)| Step { extension, change });
    // In most worlds dependencies point downwards, as the resolver leaves them; in some they may form circles.
    let circles = proptest::bool::weighted(0.2);
    (prop::collection::vec(facts, 1..=6), prop::collection::vec(step, 0..6), circles).prop_map(
        |(mut extensions, steps, circles)| {
            for (place, facts) in extensions.iter_mut().enumerate() {
                facts.dependencies.retain(|below| circles || *below < place);
            }
            World { extensions, steps }
        },
    )
}

fn edits() -> impl Strategy<Value = Edit> {
    let actor = prop::sample::select(vec!["Account;1", "Account;2", "User;2"])
        .prop_map(|id| id.parse().unwrap());
    let group =
        prop::sample::select(vec!["admins", "nobody registered this"]).prop_map(str::to_owned);
    prop_oneof![
        4 => Just(Edit::Enable),
        1 => Just(Edit::Disable),
        2 => actor.clone().prop_map(Edit::EnableActor),
        1 => actor.prop_map(Edit::DisableActor),
        1 => Just(of_admins()),
        1 => Just(Edit::DisableExpression),
        2 => group.clone().prop_map(Edit::EnableGroup),
        1 => group.prop_map(Edit::DisableGroup),
        2 => (0..=100_000_u32).prop_map(share),
        1 => Just(share(0)),
    ]
}

/// The one expression of these worlds: true of whoever administers the platform.
fn of_admins() -> Edit {
    let admin = serde_json::json!({ "Equal": [{ "Property": ["admin"] }, true] });
    Edit::EnableExpression(Expression::new(admin).unwrap())
}

fn share(thousandths: u32) -> Edit {
    Edit::PercentageOfActors(Percentage::new(f64::from(thousandths) / 1_000.0).unwrap())
}

fn groups() -> Groups {
    Groups::default().with("admins", Actor::is_admin)
}

fn flags(epoch: i64, now: &[Facts]) -> FlagSet {
    let flags = now.iter().enumerate().filter_map(|(place, facts)| {
        let mut gates = Gates::default();
        for edit in facts.flag.as_ref()? {
            gates.apply(edit);
        }
        Some(Flag {
            name: flag_name(place),
            description: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            chosen: true,
            gates,
            changed: None,
        })
    });
    FlagSet::new(epoch, flags)
}

fn slug(place: usize) -> String {
    format!("x{place}")
}

fn flag_name(place: usize) -> String {
    format!("x{place}_mode")
}
