//! A power cut, a kill or a failure between any two file operations of a run: the next run repairs it, `recover --undo` takes
//! it back, and a failure leaves the host as it was. All places, none left out.

mod disk;
mod failures;
mod plans;
mod recorder;
mod stops;
mod temporary;
mod watched;
