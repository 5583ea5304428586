//! Flipper's expressions: a tree of functions over what is known of who asks.
//!
//! What makes no sense when it is asked (a text compared with a number, a time that is none) is false, as in Flipper;
//! what makes no sense as it is written is refused.

use std::{borrow::Cow, cell::Cell, cmp::Ordering, fmt};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use super::{SCALE, bucket_of, random_bucket};
use crate::gate::actor::ActorId;

/// The longest expression, in bytes of its JSON.
const LONGEST: usize = 2_000;
/// The deepest.
const DEEPEST: usize = 16;
/// How many functions and constants a check may ask, over all flags that ask each other.
const BUDGET: u32 = 1_000;

/// An expression as Flipper writes it: `{"Equal": [{"Property": ["admin"]}, true]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "serde_json::Map<String, Json>")]
pub struct Expression {
    source: Json,
    #[serde(skip)]
    root: Node,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// [`BadExpression`] names what it cannot be.
    pub fn new(source: Json) -> Result<Expression, BadExpression> {
        if source.to_string().len() > LONGEST {
            return Err(BadExpression::Long);
        }
        if !source.is_object() {
            return Err(BadExpression::NoExpression(shortened(&source)));
        }
        let root = Node::read(&source, 0)?;
        Ok(Expression { source, root })
    }

    /// Whether it answers otherwise each time it is asked.
    pub fn is_random(&self) -> bool {
        self.root.any(&|function| function == Function::Random)
    }

    /// The JSON that it was made of.
    pub fn source(&self) -> &Json {
        &self.source
    }

    pub(super) fn holds(&self, asked: &Asked<'_>) -> bool {
        self.root.value(asked).is_true()
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Expression::new(Json::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// A text that is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadExpression {
    /// Another kind of JSON.
    #[error("`{0}` is no expression: write a function and its arguments, `{{\"Equal\": [1, 1]}}`")]
    NoExpression(String),
    /// No such function.
    #[error("there is no function `{0}`; there are: {list}", list = Function::list())]
    UnknownFunction(String),
    /// The wrong number of arguments.
    #[error("`{function}` takes {takes} arguments, and has {has}")]
    Arguments {
        /// The function.
        function: &'static str,
        /// How many it takes.
        takes: String,
        /// How many it has.
        has: usize,
    },
    /// An `All` of nothing is on for everybody, an `Any` for nobody.
    #[error("`{0}` of nothing says nothing: give it a condition")]
    Empty(&'static str),
    /// No unit of time.
    #[error(
        "`{0}` is no unit of a `Duration`: second, minute, hour, day, week, month and year are"
    )]
    Unit(String),
    /// Too long.
    #[error("an expression has {LONGEST} bytes at most")]
    Long,
    /// Too deep.
    #[error("an expression is {DEEPEST} functions deep at most")]
    Deep,
}

/// What an expression is asked with.
pub(super) struct Asked<'a> {
    /// The flag whose expression it is.
    pub(super) flag: &'a str,
    /// One of the ids of who asks; nothing where nobody does.
    pub(super) id: Option<&'a ActorId>,
    /// Whether they administer the platform.
    pub(super) admin: bool,
    /// When.
    pub(super) now: DateTime<Utc>,
    /// Whether the flag asked for may not answer otherwise each time.
    pub(super) steady: bool,
    /// What may still be asked.
    pub(super) budget: &'a Cell<u32>,
    /// Whether another flag is on for whoever asks.
    pub(super) is_on: &'a dyn Fn(&str) -> bool,
}

/// A budget for one check.
pub(super) fn budget() -> Cell<u32> {
    Cell::new(BUDGET)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Text(String),
    Number(serde_json::Number),
    Boolean(bool),
    Call(Function, Vec<Node>),
}

macro_rules! functions {
    ($($name:ident $least:literal..=$most:expr,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Function {
            $($name,)*
        }

        impl Function {
            fn of(name: &str) -> Option<Function> {
                match name {
                    $(stringify!($name) => Some(Function::$name),)*
                    _ => None,
                }
            }

            fn name(self) -> &'static str {
                match self {
                    $(Function::$name => stringify!($name),)*
                }
            }

            fn takes(self) -> std::ops::RangeInclusive<usize> {
                match self {
                    $(Function::$name => $least..=$most,)*
                }
            }

            fn list() -> String {
                [$(stringify!($name),)*].join(", ")
            }
        }
    };
}

functions! {
    All 0..=usize::MAX,
    Any 0..=usize::MAX,
    Boolean 1..=1,
    Duration 1..=2,
    Equal 2..=2,
    FeatureEnabled 1..=1,
    GreaterThan 2..=2,
    GreaterThanOrEqualTo 2..=2,
    LessThan 2..=2,
    LessThanOrEqualTo 2..=2,
    NotEqual 2..=2,
    Now 0..=0,
    Number 1..=1,
    Percentage 1..=1,
    PercentageOfActors 2..=2,
    Property 1..=1,
    Random 0..=1,
    String 1..=1,
    Time 1..=1,
}

impl Node {
    fn read(source: &Json, depth: usize) -> Result<Node, BadExpression> {
        let none = || BadExpression::NoExpression(shortened(source));
        let object = match source {
            Json::String(text) => return Ok(Node::Text(text.clone())),
            Json::Number(number) => return Ok(Node::Number(number.clone())),
            Json::Bool(boolean) => return Ok(Node::Boolean(*boolean)),
            Json::Object(object) if object.len() == 1 => object,
            _ => return Err(none()),
        };
        if depth >= DEEPEST {
            return Err(BadExpression::Deep);
        }
        let (name, arguments) = object.iter().next().ok_or_else(none)?;
        let function = Function::of(name)
            .ok_or_else(|| BadExpression::UnknownFunction(name.chars().take(80).collect()))?;
        let arguments: Vec<Node> = match arguments {
            Json::Array(list) => {
                list.iter().map(|it| Node::read(it, depth + 1)).collect::<Result<_, _>>()?
            }
            Json::Null => Vec::new(),
            one => vec![Node::read(one, depth + 1)?],
        };
        let name = function.name();
        if matches!(function, Function::All | Function::Any) && arguments.is_empty() {
            return Err(BadExpression::Empty(name));
        }
        let takes = function.takes();
        if !takes.contains(&arguments.len()) {
            let takes = match (*takes.start(), *takes.end()) {
                (least, most) if least == most => least.to_string(),
                (least, most) => format!("{least} to {most}"),
            };
            return Err(BadExpression::Arguments { function: name, takes, has: arguments.len() });
        }
        if let (Function::Duration, Some(Node::Text(unit))) = (function, arguments.get(1))
            && seconds(unit).is_none()
        {
            return Err(BadExpression::Unit(unit.chars().take(80).collect()));
        }
        Ok(Node::Call(function, arguments))
    }

    fn any(&self, is: &impl Fn(Function) -> bool) -> bool {
        match self {
            Node::Call(function, arguments) => {
                is(*function) || arguments.iter().any(|it| it.any(is))
            }
            _ => false,
        }
    }

    fn value<'a>(&'a self, asked: &Asked<'a>) -> Value<'a> {
        let left = asked.budget.get();
        if left == 0 {
            return Value::Nothing;
        }
        asked.budget.set(left - 1);
        match self {
            Node::Text(text) => Value::Text(Cow::Borrowed(text)),
            Node::Number(number) => number.as_f64().map_or(Value::Nothing, Value::Number),
            Node::Boolean(boolean) => Value::Boolean(*boolean),
            Node::Call(function, arguments) => call(*function, arguments, asked),
        }
    }
}

/// What a function answers.
#[derive(Clone, Debug)]
enum Value<'a> {
    Nothing,
    Boolean(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Time(DateTime<Utc>),
}

impl<'a> Value<'a> {
    /// As in Ruby: all is true but `false` and nothing.
    fn is_true(&self) -> bool {
        !matches!(self, Value::Nothing | Value::Boolean(false))
    }

    fn number(self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn text(self) -> Cow<'a, str> {
        match self {
            Value::Nothing => Cow::Borrowed(""),
            Value::Boolean(true) => Cow::Borrowed("true"),
            Value::Boolean(false) => Cow::Borrowed("false"),
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::Text(text) => text,
            Value::Time(time) => Cow::Owned(time.to_rfc3339()),
        }
    }

    /// As a number, where a text that is none is 0.
    fn to_number(&self) -> Option<f64> {
        match self {
            Value::Nothing => Some(0.0),
            Value::Number(number) => Some(*number),
            Value::Text(text) => Some(text.trim().parse().unwrap_or(0.0)),
            Value::Time(time) => Some(time.timestamp_micros() as f64 / 1e6),
            Value::Boolean(_) => None,
        }
    }
}

fn call<'a>(function: Function, arguments: &'a [Node], asked: &Asked<'a>) -> Value<'a> {
    let argument =
        |place: usize| arguments.get(place).map_or(Value::Nothing, |it: &'a Node| it.value(asked));
    let number = |number: Option<f64>| number.map_or(Value::Nothing, Value::Number);
    let compared = |is: fn(Ordering) -> bool| {
        Value::Boolean(order(&argument(0), &argument(1)).is_some_and(is))
    };
    match function {
        Function::All => Value::Boolean(arguments.iter().all(|it| it.value(asked).is_true())),
        Function::Any => Value::Boolean(arguments.iter().any(|it| it.value(asked).is_true())),
        Function::Equal => Value::Boolean(equal(&argument(0), &argument(1))),
        Function::NotEqual => Value::Boolean(!equal(&argument(0), &argument(1))),
        Function::GreaterThan => compared(Ordering::is_gt),
        Function::GreaterThanOrEqualTo => compared(Ordering::is_ge),
        Function::LessThan => compared(Ordering::is_lt),
        Function::LessThanOrEqualTo => compared(Ordering::is_le),
        Function::Property => property(&argument(0).text(), asked),
        Function::PercentageOfActors => {
            let (text, share) = (argument(0).text(), argument(1).number());
            let place = bucket_of(asked.flag, [text.as_bytes()]);
            let drawn = share.is_some_and(|it| f64::from(place) < it * f64::from(SCALE));
            Value::Boolean(drawn)
        }
        Function::Percentage => number(argument(0).to_number().map(|it| it.clamp(0.0, 100.0))),
        Function::Number => number(argument(0).to_number()),
        Function::String => Value::Text(argument(0).text()),
        Function::Boolean => Value::Boolean(match argument(0) {
            Value::Boolean(boolean) => boolean,
            Value::Number(number) => number == 1.0,
            Value::Text(text) => text == "true" || text == "1",
            _ => false,
        }),
        Function::Random if asked.steady => Value::Nothing,
        Function::Random => {
            let share = f64::from(random_bucket()) / f64::from(100 * SCALE);
            match argument(0).number().map(f64::trunc) {
                Some(most) if most >= 1.0 => Value::Number((share * most).floor()),
                _ => Value::Number(share),
            }
        }
        Function::Now => Value::Time(asked.now),
        Function::Time => time(&argument(0).text()).map_or(Value::Nothing, Value::Time),
        Function::Duration => match seconds(&argument(1).text()) {
            Some(seconds) => number(argument(0).number().map(|it| it * seconds)),
            None => Value::Nothing,
        },
        Function::FeatureEnabled => Value::Boolean((asked.is_on)(&argument(0).text())),
    }
}

/// How many seconds a unit of time has.
fn seconds(unit: &str) -> Option<f64> {
    let unit = unit.to_lowercase();
    Some(match unit.strip_suffix('s').unwrap_or(&unit) {
        "" | "second" => 1.0,
        "minute" => 60.0,
        "hour" => 3_600.0,
        "day" => 86_400.0,
        "week" => 604_800.0,
        "month" => 2_629_746.0,
        "year" => 31_556_952.0,
        _ => return None,
    })
}

/// What is known of who asks.
fn property<'a>(name: &str, asked: &Asked<'a>) -> Value<'a> {
    let Some(id) = asked.id else { return Value::Nothing };
    match name {
        "flipper_id" => Value::Text(Cow::Borrowed(id.as_str())),
        "class" => {
            let class = id.as_str().split(';').next().unwrap_or_default();
            Value::Text(Cow::Borrowed(class))
        }
        "admin" => Value::Boolean(asked.admin),
        _ => Value::Nothing,
    }
}

fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Nothing, Value::Nothing) => true,
        (Value::Boolean(left), Value::Boolean(right)) => left == right,
        _ => order(left, right).is_some_and(Ordering::is_eq),
    }
}

/// Which is greater; nothing where the two cannot be compared.
fn order(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Time(left), Value::Time(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// A time as RFC 3339 or 2822 has it, or a day and perhaps a time of it, in UTC.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let exact = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
    let exact = exact.map(|it| it.to_utc()).ok();
    let formats =
        ["%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
    let of_day = || formats.iter().find_map(|it| NaiveDateTime::parse_from_str(text, it).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    exact.or_else(|| of_day().or_else(day).map(|it| it.and_utc()))
}

fn shortened(source: &Json) -> String {
    source.to_string().chars().take(80).collect()
}

#[cfg(test)]
mod tests;
