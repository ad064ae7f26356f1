//! Admission of connections: a total, a share per source, and a few places that only probes may use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::ServerLimit;
use crate::source::Source;

/// One source may hold one part in this many of the places for probes.
const PROBES_SHARE_ONE_IN: usize = 4;

/// The connections that are open.
pub struct Connections {
    all: Places,
    probes: Places,
    all_max: u32,
    probes_max: u32,
}

/// The use that an admitted connection may be put to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Any request.
    Any,
    /// Probes alone. Every other request is refused with 503, because this limit has been reached.
    Probes(ServerLimit),
}

/// A place for a connection, free again when it is dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    counted: Option<(Arc<Sources>, Source)>,
}

/// The connections of each source.
type Sources = Mutex<HashMap<Source, usize>>;

struct Places {
    left: Arc<Semaphore>,
    per_source_max: usize,
    sources: Arc<Sources>,
}

impl Connections {
    /// Admits `all_max` connections, `per_source_max` of one source among them, and `probes_max` more for probes.
    pub fn new(all_max: u32, per_source_max: u32, probes_max: u32) -> Self {
        let probes_per_source_max = (probes_max as usize / PROBES_SHARE_ONE_IN).max(1);
        Self {
            all: Places::new(all_max, per_source_max as usize),
            probes: Places::new(probes_max, probes_per_source_max),
            all_max,
            probes_max,
        }
    }

    /// Waits until a place of either kind is free. Connections beyond wait in the operating system's bounded queue.
    pub async fn wait(&self) {
        let all = self.all.left.acquire();
        let probes = self.probes.left.acquire();
        tokio::select! {
            _ = all => {}
            _ = probes => {}
        }
    }

    /// The place of a connection from `source`, and what it may be used for. `None` as source stands for a trusted
    /// proxy, which brings many clients and has no share. `None` as answer means that the source has used up both its
    /// shares, or that every place is taken.
    pub fn admit(&self, source: Option<Source>) -> Option<(Place, Use)> {
        let limit = match self.all.take(source) {
            Ok(place) => return Some((place, Use::Any)),
            Err(Taken::All) => ServerLimit::Connections,
            Err(Taken::Share) => ServerLimit::ConnectionsPerSource,
        };
        let place = self.probes.take(source).ok()?;
        Some((place, Use::Probes(limit)))
    }

    /// Waits until every connection has ended.
    pub async fn drained(&self) {
        let _all = self.all.left.acquire_many(self.all_max).await;
        let _probes = self.probes.left.acquire_many(self.probes_max).await;
    }
}

enum Taken {
    All,
    Share,
}

impl Places {
    fn new(max: u32, per_source_max: usize) -> Self {
        Self { left: Arc::new(Semaphore::new(max as usize)), per_source_max, sources: Arc::default() }
    }

    fn take(&self, source: Option<Source>) -> Result<Place, Taken> {
        let permit = Arc::clone(&self.left).try_acquire_owned().map_err(|_| Taken::All)?;
        let Some(source) = source else { return Ok(Place { _permit: permit, counted: None }) };
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let held = sources.entry(source).or_default();
        if *held >= self.per_source_max {
            return Err(Taken::Share);
        }
        *held += 1;
        Ok(Place { _permit: permit, counted: Some((Arc::clone(&self.sources), source)) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((sources, source)) = &self.counted else { return };
        let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = sources.get_mut(source) {
            *held -= 1;
            if *held == 0 {
                sources.remove(source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn admit(connections: &Connections, last: u8) -> Option<(Place, Use)> {
        connections.admit(Some(Source::of(IpAddr::from([127, 0, 0, last]))))
    }

    fn used_for(admitted: Option<&(Place, Use)>) -> Option<Use> {
        admitted.map(|(_, used_for)| *used_for)
    }

    #[test]
    fn a_source_at_its_share_may_probe_and_leaves_the_rest_to_others() {
        let connections = Connections::new(4, 1, 4);
        let first = admit(&connections, 1);
        assert_eq!(used_for(first.as_ref()), Some(Use::Any));
        let second = admit(&connections, 1);
        assert_eq!(used_for(second.as_ref()), Some(Use::Probes(ServerLimit::ConnectionsPerSource)));
        assert!(admit(&connections, 1).is_none());
        assert_eq!(used_for(admit(&connections, 2).as_ref()), Some(Use::Any));
        drop(first);
        assert_eq!(used_for(admit(&connections, 1).as_ref()), Some(Use::Any));
    }

    #[test]
    fn probes_have_places_when_every_other_is_taken() {
        let connections = Connections::new(2, 2, 4);
        let held = [admit(&connections, 1), admit(&connections, 1)];
        let probe = admit(&connections, 2);
        assert_eq!(used_for(probe.as_ref()), Some(Use::Probes(ServerLimit::Connections)));
        drop(held);
        assert_eq!(used_for(admit(&connections, 2).as_ref()), Some(Use::Any));
    }

    #[test]
    fn a_trusted_proxy_has_no_share_of_its_own() {
        let connections = Connections::new(3, 1, 1);
        let held: Vec<_> = (0..3).map(|_| connections.admit(None)).collect();
        assert!(held.iter().all(|admitted| used_for(admitted.as_ref()) == Some(Use::Any)));
    }

    #[tokio::test]
    async fn the_end_of_the_last_connection_is_noticed() {
        let connections = Connections::new(2, 2, 1);
        let held = admit(&connections, 1);
        let drained = connections.drained();
        tokio::pin!(drained);
        let pending = futures_util::future::poll_immediate(&mut drained).await.is_none();
        assert!(pending);
        drop(held);
        drained.await;
        assert!(connections.all.sources.lock().unwrap().is_empty());
    }
}
