//! Measures how long connections to a port are refused, by connecting again and again.
//!
//! The ports are tried in turn, every [`INTERVAL`]. A failed try counts for the time until the next one, so the result
//! is accurate to about one interval at each end of an interruption, and an interruption shorter than an interval may
//! be missed. A connection that the kernel accepts counts, whether or not the program behind it answers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::host::{HostError, PortWatch, Refusals};

/// The time between two tries.
const INTERVAL: Duration = Duration::from_millis(20);
/// On the loopback interface a longer time counts as refused.
const PATIENCE: Duration = Duration::from_millis(250);

/// Once eased, a watch ends when all ports have answered for this long.
const CALM: Duration = Duration::from_secs(2);

/// A thread that tries the ports until its channel is closed, or until it was eased and they answer.
#[derive(Debug)]
pub(super) struct Watch {
    ports: Vec<u16>,
    stop: Sender<()>,
    thread: JoinHandle<Refusals>,
}

/// Starts to watch ports on 127.0.0.1. Each port has been tried once when this returns.
pub(super) fn start(ports: &[u16]) -> Result<Watch, HostError> {
    let (stop, stopped) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel::<()>();
    let watched = ports.to_vec();
    let thread = thread::Builder::new().name("port-watch".into()).spawn(move || {
        let mut refusals: BTreeMap<u16, Duration> = watched.iter().map(|port| (*port, Duration::ZERO)).collect();
        // When a port was last tried, if it did not answer then.
        let mut silent_since: BTreeMap<u16, Instant> = BTreeMap::new();
        let mut begun = Some(begun);
        let (mut eased, mut silent_last) = (false, Instant::now());
        loop {
            for port in &watched {
                let now = Instant::now();
                if let (Some(since), Some(total)) = (silent_since.remove(port), refusals.get_mut(port)) {
                    *total += now - since;
                }
                if !answers(*port) {
                    silent_since.insert(*port, now);
                    silent_last = Instant::now();
                }
            }
            drop(begun.take());
            if eased && silent_last.elapsed() >= CALM {
                break;
            }
            match stopped.recv_timeout(INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) => eased = true,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for (port, since) in silent_since {
            *refusals.entry(port).or_default() += since.elapsed();
        }
        Refusals(refusals)
    });
    let thread = thread.map_err(|source| HostError::Start { command: "a watch on the ports".into(), source })?;
    // Returns when the thread drops its end of the channel.
    let _ = begins.recv();
    Ok(Watch { ports: ports.to_vec(), stop, thread })
}

fn answers(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE).is_ok()
}

impl PortWatch for Watch {
    fn ease(&self) {
        // A finished thread makes no connections either.
        let _ = self.stop.send(());
    }

    fn finish(self: Box<Self>) -> Refusals {
        let Self { ports, stop, thread } = *self;
        drop(stop);
        // Nothing in the thread panics. If it did, only the list of ports would be known.
        thread.join().unwrap_or_else(|_| Refusals(ports.into_iter().map(|port| (port, Duration::ZERO)).collect()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_refused_counts_and_what_is_open_does_not() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [open.local_addr().unwrap().port(), closed.local_addr().unwrap().port()];
        drop(closed);
        let started = Instant::now();
        let watch = start(&ports).unwrap();
        // Until two more tries have arrived, however slow the machine is.
        for _ in 0..3 {
            drop(open.accept().unwrap());
        }
        let refusals = Box::new(watch).finish();
        let most = started.elapsed();
        assert_eq!(refusals.0[&ports[0]], Duration::ZERO);
        let refused = refusals.0[&ports[1]];
        assert!(refused >= INTERVAL && refused <= most, "{refused:?} of {most:?}");
        assert_eq!(refusals.longest(), refused);
    }

    #[test]
    fn an_eased_watch_ends_by_itself_once_the_ports_answer() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        let watch = start(&[address.port()]).unwrap();
        watch.ease();
        let opened = TcpListener::bind(address).unwrap();
        let taken = thread::spawn(move || {
            // Accepts every connection until there are no more.
            opened.set_nonblocking(false).unwrap();
            for connection in opened.incoming() {
                drop(connection);
            }
        });
        // If the watch did not end on its own, this would run for ever.
        while !watch.thread.is_finished() {
            thread::sleep(INTERVAL);
        }
        assert!(Box::new(watch).finish().longest() > Duration::ZERO);
        drop(taken);
    }

    #[test]
    fn a_port_that_opens_ends_the_count() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        let started = Instant::now();
        let watch = start(&[address.port()]).unwrap();
        let opened = TcpListener::bind(address).unwrap();
        drop(opened.accept().unwrap());
        let until_open = started.elapsed();
        for _ in 0..3 {
            drop(opened.accept().unwrap());
        }
        let refusals = Box::new(watch).finish();
        let refused = refusals.longest();
        assert!(refused > Duration::ZERO && refused <= until_open, "{refused:?} of {until_open:?}");
        drop(opened);
        let none = Box::new(start(&[]).unwrap()).finish();
        assert_eq!(none.longest(), Duration::ZERO);
    }
}
