//! Transactions, begun and ended by the platform.

use diesel::{
    connection::{
        Connection, TransactionDepthChange, TransactionManager, TransactionManagerStatus,
        ValidTransactionManagerStatus,
    },
    result::{Error, QueryResult},
};
use powernode_abi::data::tx;

use super::connection::HostConnection;

/// Diesel's transactions on a lent connection: savepoints where one is open already.
///
/// No `BEGIN` or `COMMIT` is sent as text: the platform refuses those.
#[derive(Clone, Copy, Debug)]
pub struct HostTransactions;

/// The open transactions of a lent connection.
#[derive(Debug, Default)]
pub struct HostTransactionState {
    status: TransactionManagerStatus,
    /// 1 where the platform began the transaction that the job runs in.
    base: u32,
}

impl HostTransactionState {
    pub(super) fn new(base: u32) -> Self {
        Self { status: TransactionManagerStatus::default(), base }
    }

    fn valid(&mut self) -> QueryResult<&mut ValidTransactionManagerStatus> {
        match &mut self.status {
            TransactionManagerStatus::Valid(status) => Ok(status),
            TransactionManagerStatus::InError => Err(Error::BrokenTransactionManager),
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.status, TransactionManagerStatus::InError)
    }

    /// How many transactions of the author's are open.
    fn open(&mut self) -> QueryResult<u32> {
        Ok(self.valid()?.transaction_depth().map_or(0, std::num::NonZeroU32::get))
    }

    /// The same for one that must be open.
    fn some_open(&mut self) -> QueryResult<u32> {
        match self.open()? {
            0 => Err(Error::NotInTransaction),
            open => Ok(open),
        }
    }
}

impl TransactionManager<HostConnection> for HostTransactions {
    type TransactionStateData = HostTransactionState;

    fn begin_transaction(conn: &mut HostConnection) -> QueryResult<()> {
        let state = conn.transaction_state();
        let depth = state.base + state.open()?;
        conn.tx(tx::BEGIN, depth)?;
        conn.transaction_state()
            .valid()?
            .change_transaction_depth(TransactionDepthChange::IncreaseDepth)
    }

    fn rollback_transaction(conn: &mut HostConnection) -> QueryResult<()> {
        let state = conn.transaction_state();
        let depth = state.base + state.some_open()?;
        let answer = conn.tx(tx::ROLLBACK, depth);
        let state = conn.transaction_state();
        match answer {
            Ok(()) => {
                state.valid()?.change_transaction_depth(TransactionDepthChange::DecreaseDepth)
            }
            Err(error) => {
                // What is open now is unknown: nothing more may run, and the platform rolls all of it back.
                state.status.set_in_error();
                Err(error)
            }
        }
    }

    fn commit_transaction(conn: &mut HostConnection) -> QueryResult<()> {
        let state = conn.transaction_state();
        let depth = state.base + state.some_open()?;
        match conn.tx(tx::COMMIT, depth) {
            Ok(()) => conn
                .transaction_state()
                .valid()?
                .change_transaction_depth(TransactionDepthChange::DecreaseDepth),
            Err(commit) => match Self::rollback_transaction(conn) {
                Ok(()) => Err(commit),
                Err(rollback) => Err(Error::RollbackErrorOnCommit {
                    rollback_error: Box::new(rollback),
                    commit_error: Box::new(commit),
                }),
            },
        }
    }

    fn transaction_manager_status_mut(conn: &mut HostConnection) -> &mut TransactionManagerStatus {
        &mut conn.transaction_state().status
    }
}
