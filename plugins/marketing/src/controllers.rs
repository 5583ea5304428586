//! Calls: each is read, handed to one service inside one database job, and answered.

pub mod campaigns;
