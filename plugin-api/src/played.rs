//! A platform that is played, for tests: it notes what is asked of it, and answers what it was told to.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use powernode_abi::{
    AbiError, Cell, DbError, DbObject, Header, HostObject, Id, JobObject, PFuture, Query, Res,
    RowBatch, RunObject,
    abi_stable::{
        RMut,
        sabi_trait::TD_Opaque,
        std_types::{
            RArc, ROption,
            RResult::{self, RErr, ROk},
            RSlice, RStr, RString, RVec, Tuple2,
        },
    },
    channels::{ChannelsObject, RawChannels, RawChannels_TO},
    client::{HttpAnswer, HttpObject, RawHttp, RawHttp_TO},
    data::{POSTGRES, RawConn, RawConn_TO, RawDb, RawDb_TO, kind, outcome, tag, unavailable},
    error::{DENIED, UNSUPPORTED},
    host::{
        AccountsObject, Callsite, Field, FlagsObject, KvObject, LinksObject, MetricsObject,
        RawAccounts, RawAccounts_TO, RawFlags, RawFlags_TO, RawHost, RawHost_TO, RawKv, RawKv_TO,
        RawLinks, RawLinks_TO, RawMetrics, RawMetrics_TO, RawRuntime, RawRuntime_TO, RawSettings,
        RawSettings_TO, RawTrace, RawTrace_TO, RuntimeObject, SettingsObject, TraceObject,
        WorkObject,
    },
    jobs::{JobsObject, RawJobs, RawJobs_TO, RawRun, RawRun_TO, cancelled},
    providers::{ProvidersObject, RawProviders, RawProviders_TO},
};

/// The platform. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Played(Arc<Inner>);

/// JSON text, or a code and a message.
type Answer = Result<String, (u32, String)>;

#[derive(Default)]
struct Inner {
    notes: Mutex<Vec<String>>,
    answers: Mutex<BTreeMap<String, Answer>>,
    /// Whether its interface is 1.0.
    is_old: bool,
}

impl Played {
    /// One whose interface is 1.0.
    pub(crate) fn old() -> Self {
        Self(Arc::new(Inner { is_old: true, ..Inner::default() }))
    }

    /// From now on `asked` is answered so.
    pub(crate) fn answer(&self, asked: &str, answer: &str) {
        self.0.answers.lock().unwrap().insert(asked.to_owned(), Ok(answer.to_owned()));
    }

    /// From now on `asked` fails so.
    pub(crate) fn fail(&self, asked: &str, code: u32, message: &str) {
        let failed = Err((code, message.to_owned()));
        self.0.answers.lock().unwrap().insert(asked.to_owned(), failed);
    }

    /// What was asked since this was called last.
    pub(crate) fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.notes.lock().unwrap())
    }

    pub(crate) fn host(&self) -> HostObject {
        if self.0.is_old {
            return RawHost_TO::from_ptr(RArc::new(Old(self.clone())), TD_Opaque);
        }
        RawHost_TO::from_ptr(RArc::new(self.clone()), TD_Opaque)
    }

    /// Notes it, and answers as told; nothing where it was told nothing.
    fn asked(&self, asked: &str, argument: &str) -> Result<Option<String>, AbiError> {
        self.0.notes.lock().unwrap().push(format!("{asked} {argument}").trim().to_owned());
        match self.0.answers.lock().unwrap().get(asked) {
            Some(Ok(answer)) => Ok(Some(answer.clone())),
            Some(Err((code, message))) => Err(AbiError::new(*code, message.clone())),
            None => Ok(None),
        }
    }

    fn must(&self, asked: &str, argument: &str) -> Res<RString> {
        match self.asked(asked, argument) {
            Ok(Some(answer)) => ROk(answer.into()),
            Ok(None) => RErr(AbiError::failed(format!("nobody said what `{asked}` answers"))),
            Err(error) => RErr(error),
        }
    }
}

/// What is ready at once.
pub(crate) fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("what is played is done at once"),
    }
}

/// The run of a job.
pub(crate) struct Run {
    pub(crate) args: String,
    pub(crate) meta: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) cancelled: u32,
    pub(crate) progress: Arc<Mutex<Vec<String>>>,
}

impl Run {
    pub(crate) fn new(args: &str) -> Self {
        Self {
            args: args.to_owned(),
            meta: None,
            attempt: 1,
            cancelled: cancelled::NO,
            progress: Arc::default(),
        }
    }

    pub(crate) fn object(self) -> RunObject {
        RawRun_TO::from_value(self, TD_Opaque)
    }
}

impl RawRun for Run {
    fn id(&self) -> i64 {
        7
    }
    fn handler(&self) -> RStr<'_> {
        "played".into()
    }
    fn queue(&self) -> RStr<'_> {
        "shop:mail".into()
    }
    fn args(&self) -> RStr<'_> {
        self.args.as_str().into()
    }
    fn attempt(&self) -> u32 {
        self.attempt
    }
    fn max_attempts(&self) -> u32 {
        3
    }
    fn idempotency_key(&self) -> RStr<'_> {
        "job:7:1".into()
    }
    fn meta(&self) -> ROption<RStr<'_>> {
        self.meta.as_deref().map(RStr::from).into()
    }
    fn created_at(&self) -> i64 {
        1_000_000
    }
    fn due_at(&self) -> i64 {
        2_000_000
    }
    fn time_left(&self) -> u64 {
        500
    }
    fn progress(&self, json: RStr<'_>) -> Res<()> {
        self.progress.lock().unwrap().push(json.into());
        ROk(())
    }
    fn cancelled(&self) -> u32 {
        self.cancelled
    }
    fn cancellation(&self) -> PFuture<u32> {
        match self.cancelled {
            cancelled::NO => PFuture::new(std::future::pending()),
            reason => PFuture::ready(reason),
        }
    }
}

impl RawConn for Played {
    fn dialect(&self) -> u32 {
        POSTGRES
    }
    fn execute(&mut self, query: Query<'_>) -> RResult<u64, DbError> {
        self.asked(&query.sql, "").map(|_| 1).map_err(refused).into()
    }
    fn query(&mut self, query: Query<'_>, out: &mut RowBatch) -> RResult<(), DbError> {
        let argument = query.params.first().map(|it| String::from_utf8_lossy(it.bytes.as_slice()));
        let text = match self.must(&query.sql, &argument.unwrap_or_default()) {
            ROk(text) => text,
            RErr(error) => return RErr(refused(error)),
        };
        let cell = Cell { tag: tag::TEXT, len: u32::try_from(text.len()).unwrap(), val: 0 };
        out.cols = 1;
        out.rows = 1;
        out.cells = vec![cell].into();
        out.heap = text.as_bytes().to_vec().into();
        out.names = vec![RString::from("answer")].into();
        ROk(())
    }
    fn tx(&mut self, _: u32, _: u32) -> RResult<(), DbError> {
        ROk(())
    }
    fn cancelled(&self) -> bool {
        false
    }
}

fn refused(error: AbiError) -> DbError {
    DbError::new(kind::CHECK, error.message)
}

impl RawDb for Played {
    fn dialect(&self) -> u32 {
        POSTGRES
    }
    fn run(&self, _: u32, mut job: JobObject) -> PFuture<RResult<(), DbError>> {
        let mut conn = self.clone();
        PFuture::ready(match job.run(RawConn_TO::from_ptr(RMut::new(&mut conn), TD_Opaque)) {
            outcome::OK => ROk(()),
            _ => RErr(DbError::new(kind::ROLLED_BACK, "rolled back")),
        })
    }
}

impl RawJobs for Played {
    fn enqueue(&self, jobs: RStr<'_>) -> PFuture<Res<RString>> {
        PFuture::ready(self.must("jobs.enqueue", &jobs))
    }
    fn find(&self, job: i64) -> PFuture<Res<ROption<RString>>> {
        let found = self.asked("jobs.find", &job.to_string());
        PFuture::ready(found.map(|it| it.map(RString::from).into()).into())
    }
    fn cancel(&self, job: i64) -> PFuture<Res<bool>> {
        let answer = self.asked("jobs.cancel", &job.to_string());
        PFuture::ready(answer.map(|it| it.as_deref() == Some("true")).into())
    }
}

impl RawProviders for Played {
    fn present(&self, key: RStr<'_>) -> bool {
        self.0.answers.lock().unwrap().keys().any(|it| it.starts_with(key.as_str()))
    }
    fn call(
        &self,
        key: RStr<'_>,
        method: RStr<'_>,
        argument: RStr<'_>,
    ) -> PFuture<Res<ROption<RString>>> {
        let answer = self.asked(&format!("{key}.{method}"), &argument);
        PFuture::ready(answer.map(|it| it.map(RString::from).into()).into())
    }
}

impl RawHttp for Played {
    fn send(&self, head: RStr<'_>, body: RSlice<'_, u8>) -> PFuture<Res<HttpAnswer>> {
        let argument = format!("{head} {}", String::from_utf8_lossy(body.as_slice()));
        PFuture::ready(self.must("http.send", &argument).map(|text| HttpAnswer {
            status: 201,
            headers: vec![Header { name: "X-Seen".into(), value: "yes".into() }].into(),
            body: text.as_bytes().to_vec().into(),
        }))
    }
    fn token(&self, asked: RStr<'_>) -> PFuture<Res<RString>> {
        PFuture::ready(self.must("http.token", &asked))
    }
}

impl RawChannels for Played {
    fn send(&self, messages: RStr<'_>) -> PFuture<Res<()>> {
        let sent = self.asked("channels.send", messages.as_str());
        PFuture::ready(sent.map(drop).into())
    }
}

impl RawTrace for Played {
    fn max_level(&self) -> u32 {
        0
    }
    fn register(&self, _: Callsite) -> u64 {
        0
    }
    fn enabled(&self, _: u64) -> bool {
        false
    }
    fn event(&self, _: u64, _: RSlice<'_, Field<'_>>) {}
    fn span(&self, _: u64, _: RSlice<'_, Field<'_>>) -> u64 {
        1
    }
    fn record(&self, _: u64, _: RSlice<'_, Field<'_>>) {}
    fn enter(&self, _: u64) {}
    fn exit(&self, _: u64) {}
    fn share(&self, _: u64) {}
    fn close(&self, _: u64) {}
}

impl RawSettings for Played {
    fn config(&self) -> RString {
        "{}".into()
    }
    fn secret(&self, _: RStr<'_>) -> PFuture<Res<ROption<RVec<u8>>>> {
        PFuture::ready(unavailable("not played"))
    }
    fn set_secret(&self, _: RStr<'_>, _: RSlice<'_, u8>) -> PFuture<Res<()>> {
        PFuture::ready(unavailable("not played"))
    }
    fn remove_secret(&self, _: RStr<'_>) -> PFuture<Res<bool>> {
        PFuture::ready(unavailable("not played"))
    }
}

impl RawRuntime for Played {
    fn now(&self) -> i64 {
        0
    }
    fn monotonic(&self) -> u64 {
        0
    }
    fn sleep(&self, _: u64) -> PFuture<()> {
        PFuture::ready(())
    }
    fn spawn(&self, _: RStr<'_>, _: PFuture<()>) -> Res<u64> {
        unavailable("not played")
    }
    fn cancel(&self, _: u64) -> bool {
        false
    }
    fn blocking(&self, _: WorkObject) -> PFuture<Res<()>> {
        PFuture::ready(unavailable("not played"))
    }
}

impl RawKv for Played {
    fn get(&self, _: RStr<'_>) -> PFuture<Res<ROption<RVec<u8>>>> {
        PFuture::ready(unavailable("not played"))
    }
    fn put(&self, _: RStr<'_>, _: RSlice<'_, u8>, _: u64) -> PFuture<Res<()>> {
        PFuture::ready(unavailable("not played"))
    }
    fn remove(&self, _: RStr<'_>) -> PFuture<Res<bool>> {
        PFuture::ready(unavailable("not played"))
    }
    fn keys(&self, _: RStr<'_>, _: u32) -> PFuture<Res<RVec<RString>>> {
        PFuture::ready(unavailable("not played"))
    }
}

impl RawFlags for Played {
    fn enabled(&self, _: RStr<'_>, _: RStr<'_>) -> bool {
        false
    }
    fn extension_loaded(&self, _: RStr<'_>) -> bool {
        false
    }
    fn extension_enabled(&self, _: RStr<'_>) -> bool {
        false
    }
    fn available(&self, _: RStr<'_>, _: ROption<Id>) -> bool {
        false
    }
    fn capability_present(&self, _: RStr<'_>) -> bool {
        false
    }
    fn business_loaded(&self) -> bool {
        false
    }
    fn billing_enabled(&self) -> bool {
        false
    }
    fn core_mode(&self) -> bool {
        false
    }
}

impl RawMetrics for Played {
    fn register(
        &self,
        _: u32,
        _: RStr<'_>,
        _: RStr<'_>,
        _: RSlice<'_, Tuple2<RStr<'_>, RStr<'_>>>,
    ) -> Res<u64> {
        unavailable("not played")
    }
    fn record(&self, _: u64, _: f64) {}
}

impl RawAccounts for Played {
    fn accounts(&self, _: RSlice<'_, Id>) -> PFuture<Res<RString>> {
        PFuture::ready(unavailable("not played"))
    }
    fn users(&self, _: Id, _: RSlice<'_, Id>) -> PFuture<Res<RString>> {
        PFuture::ready(unavailable("not played"))
    }
    fn users_of(&self, _: Id, _: ROption<Id>, _: u32) -> PFuture<Res<RString>> {
        PFuture::ready(unavailable("not played"))
    }
    fn all(&self, _: ROption<Id>, _: u32) -> PFuture<Res<RString>> {
        PFuture::ready(unavailable("not played"))
    }
}

impl RawLinks for Played {
    fn sign(&self, _: RStr<'_>, _: Id, _: RStr<'_>, _: i64) -> Res<RString> {
        unavailable("not played")
    }
}

/// The services of interface 1.0.
macro_rules! first_services {
    ($played:ident => $it:expr) => {
        fn slug(&self) -> RStr<'_> {
            "shop".into()
        }
        fn platform(&self) -> RStr<'_> {
            "0.0.0".into()
        }
        fn db(&self) -> DbObject {
            let $played = self;
            RawDb_TO::from_ptr(RArc::new($it), TD_Opaque)
        }
        fn trace(&self) -> TraceObject {
            let $played = self;
            RawTrace_TO::from_ptr(RArc::new($it), TD_Opaque)
        }
        fn settings(&self) -> SettingsObject {
            let $played = self;
            RawSettings_TO::from_ptr(RArc::new($it), TD_Opaque)
        }
        fn runtime(&self) -> RuntimeObject {
            let $played = self;
            RawRuntime_TO::from_ptr(RArc::new($it), TD_Opaque)
        }
        fn kv(&self) -> KvObject {
            let $played = self;
            RawKv_TO::from_ptr(RArc::new($it), TD_Opaque)
        }
        fn flags(&self) -> FlagsObject {
            let $played = self;
            RawFlags_TO::from_ptr(RArc::new($it), TD_Opaque)
        }
        fn metrics(&self) -> MetricsObject {
            let $played = self;
            RawMetrics_TO::from_ptr(RArc::new($it), TD_Opaque)
        }
        fn links(&self) -> LinksObject {
            let $played = self;
            RawLinks_TO::from_ptr(RArc::new($it), TD_Opaque)
        }
        fn accounts(&self) -> AccountsObject {
            let $played = self;
            RawAccounts_TO::from_ptr(RArc::new($it), TD_Opaque)
        }
    };
}

impl RawHost for Played {
    first_services! { played => played.clone() }

    fn jobs(&self) -> JobsObject {
        RawJobs_TO::from_ptr(RArc::new(self.clone()), TD_Opaque)
    }
    fn providers(&self) -> ProvidersObject {
        RawProviders_TO::from_ptr(RArc::new(self.clone()), TD_Opaque)
    }
    fn http(&self) -> HttpObject {
        RawHttp_TO::from_ptr(RArc::new(self.clone()), TD_Opaque)
    }
    fn channels(&self) -> ChannelsObject {
        RawChannels_TO::from_ptr(RArc::new(self.clone()), TD_Opaque)
    }
}

struct Old(Played);

impl RawHost for Old {
    first_services! { old => old.0.clone() }
}

/// Codes that tests name.
pub(crate) const NO_METHOD: u32 = UNSUPPORTED;
/// The target, or the caller, is refused.
pub(crate) const REFUSED: u32 = DENIED;
