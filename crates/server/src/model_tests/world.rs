//! Takes each step twice, through the program and on the reference model, and compares the results.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use carryall_core::caller::Caller;
use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::ids::{DatasetName, Generation, IdentityEpoch, IdentityId, SyncCount};
use carryall_core::limits::Limits;
use carryall_core::model::{DatasetRef, Head, Holdings, IdentityRef, PoolRef, UsedSessions};
use carryall_core::rules::delete_identities;
use carryall_core::rules::effects::Effects;
use carryall_core::time::UnixMillis;
use carryall_wire::fault::Fault;
use carryall_wire::ops::identity::{self, DeleteIdentities, DeleteIdentityPool, GetId};
use carryall_wire::ops::sync;
use carryall_wire::timestamp::Timestamp;
use proptest::test_runner::TestCaseError;

use super::installation::{Home, app, call, create_pool, developer, master_key, settings};
use super::model::{Listing, Model, NamesPage, Page, Place, Session, Token, Told, Update, Who};
use super::operation::{
    By, CountChoice, DATASETS, IDENTITIES, KEYS, LastChoice, OpChoice, Operation, POOLS, Patch, TokenChoice,
    VALUES, Where,
};
use crate::app::App;
use crate::trust::seal::MasterKey;

const BEGIN: i64 = 1_700_000_000_000;
const SWEEPS_MAX: usize = 64;

type Agreed<T = ()> = Result<T, TestCaseError>;

/// Limits that are reached soon; the first set applies at the start.
fn limits(which: usize) -> Limits {
    let [datasets, records, tombstones] = [[3, 4, 3], [2, 2, 1], [4, 6, 9]][which];
    Limits {
        datasets_per_identity_max: datasets,
        records_per_dataset_max: records,
        dataset_bytes_max: [50, 20, 80][which],
        key_bytes_max: 8,
        value_bytes_max: 20,
        tombstones_per_dataset_max: tombstones,
        tombstone_key_bytes_per_dataset_max: [20, 10, 3][which],
    }
}

/// Issued tokens, with the model's view of each.
struct Issued<T>(Vec<(Place, String, T)>);

impl<T: Clone> Issued<T> {
    fn latest(&self, place: &Place) -> Option<&(Place, String, T)> {
        self.0.iter().rev().find(|(at, ..)| at == place)
    }

    fn any(&self, which: u8) -> Option<&(Place, String, T)> {
        self.0.get(usize::from(which) % self.0.len().max(1))
    }
}

/// A token as it is sent, and as the model knows it.
type Sent<T> = (Option<String>, Token<T>);

pub(super) struct World {
    home: Home,
    master: MasterKey,
    app: Option<Arc<App>>,
    model: Model,
    incarnations: BTreeMap<u64, PoolRef>,
    identities: [[String; IDENTITIES]; POOLS],
    sessions: Issued<Session>,
    pages: Issued<Page>,
    names: Issued<NamesPage>,
    markers: usize,
    /// Updates that changed something, as they were sent.
    applied: Vec<Applied>,
}

#[derive(Clone)]
struct Applied {
    who: Who,
    caller: Caller,
    place: Place,
    input: sync::update_records::Input,
    ask: Update,
}

fn agree<A: PartialEq + Debug>(step: &str, told: Result<A, Fault>, expected: Told<A>) -> Agreed<Option<A>> {
    match (told, expected) {
        (Ok(told), Ok(expected)) if told == expected => Ok(Some(told)),
        (Err(fault), Err(refused))
            if fault.kind == refused.kind
                && refused.message.as_ref().is_none_or(|message| *message == fault.message) =>
        {
            Ok(None)
        }
        (told, expected) => {
            Err(TestCaseError::fail(format!("{step}\n told: {told:?}\n expected: {expected:?}")))
        }
    }
}

fn damaged(token: &str, place: u8) -> String {
    let place = usize::from(place) % token.len();
    let other = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..place], &token[place + 1..])
}

fn pool_id(which: usize) -> String {
    format!("us-east-1:{which}")
}

impl World {
    pub(super) async fn new(home: Home, developer_updates: bool) -> Agreed<Self> {
        // The last identity was issued by no pool, and is the same in all; developers may address it all the
        // same.
        let identity = |which: usize| format!("us-east-1:{which}");
        let mut world = Self {
            home,
            master: master_key(),
            app: None,
            model: Model::new(BEGIN, limits(0), developer_updates),
            incarnations: BTreeMap::new(),
            identities: std::array::from_fn(|_| std::array::from_fn(identity)),
            sessions: Issued(Vec::new()),
            pages: Issued(Vec::new()),
            names: Issued(Vec::new()),
            markers: 0,
            applied: Vec::new(),
        };
        world.start().await;
        for pool in 0..POOLS {
            world.create_pool(pool).await?;
            for which in 0..IDENTITIES - 1 {
                world.hand_out(Where { pool, identity: which, dataset: 0 }).await?;
            }
        }
        Ok(world)
    }

    async fn start(&mut self) {
        let settings = settings(&self.model.limits, self.model.developer_updates);
        self.app = Some(app(self.home.open(), &self.master, settings).await);
    }

    fn app(&self) -> &App {
        self.app.as_ref().unwrap()
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.model.now)
    }

    fn place(&self, at: Where) -> Place {
        Place {
            pool: pool_id(at.pool),
            identity: self.identities[at.pool][at.identity].clone(),
            dataset: format!("d{}", at.dataset),
        }
    }

    fn who(&self, by: By, at: Where) -> (Who, Caller) {
        let place = self.place(at);
        let present = self.model.pool_life(&place.pool);
        let mut lives = self.incarnations.iter().filter(|(_, pool)| pool.id.as_str() == place.pool);
        let (first, last) = (lives.clone().next().unwrap(), lives.next_back().unwrap());
        let (life, identity) = match by {
            By::Developer => return (Who::Developer, developer()),
            By::Owner => (present.unwrap_or(*last.0), place.identity),
            By::Neighbour => (*last.0, self.identities[at.pool][(at.identity + 1) % IDENTITIES].clone()),
            By::OldCredentials => (*first.0, place.identity),
        };
        let pool = self.incarnations[&life].clone();
        let at = IdentityRef { pool, identity: IdentityId::parse(&identity).unwrap() };
        let caller = Caller::Identity { at, epoch: IdentityEpoch(0) };
        (Who::Identity { pool: place.pool, life, identity }, caller)
    }

    /// Takes one step and compares results, and the state that it leaves.
    pub(super) async fn step(&mut self, operation: &Operation) -> Agreed {
        let touched = match operation {
            Operation::List { by, at, last, max, session, page } => {
                self.list(*by, *at, *last, *max, *session, *page).await?;
                *at
            }
            Operation::Update { by, at, device, session, patches } => {
                self.update(*by, *at, *device, *session, patches.as_deref()).await?;
                *at
            }
            Operation::RepeatUpdate { which } => return self.repeat_update(*which).await,
            Operation::UpdateManyTimes { at } => {
                self.update_many_times(*at).await?;
                *at
            }
            Operation::DeleteDataset { by, at } => {
                self.delete_dataset(*by, *at).await?;
                *at
            }
            Operation::DescribeDataset { by, at } => return self.describe(*by, *at).await,
            Operation::ListDatasets { by, at, max, page } => {
                return self.list_datasets(*by, *at, *max, *page).await;
            }
            Operation::IdentityUsage { by, at } => return self.identity_usage(*by, *at).await,
            Operation::PoolUsage { by, at } => return self.pool_usage(*by, *at).await,
            Operation::AllPoolUsage { by, max } => return self.all_pool_usage(*by, *max).await,
            Operation::DeletedLongAgo { at, less } => {
                self.add_markers(*at, *less).await;
                *at
            }
            Operation::HandOutIdentity { at } => return self.hand_out(*at).await,
            Operation::DeleteIdentity { at } => {
                self.delete_identity(*at).await?;
                *at
            }
            Operation::DeletePool { at } => {
                self.delete_pool(*at).await?;
                *at
            }
            Operation::CreatePool { at } => {
                self.create_pool(at.pool).await?;
                *at
            }
            Operation::Pass { seconds } => {
                self.model.now += i64::from(*seconds) * 1000;
                return Ok(());
            }
            Operation::SetBack { seconds } => {
                self.model.now -= i64::from(*seconds) * 1000;
                return Ok(());
            }
            Operation::Sweep => return self.sweep().await,
            Operation::Reclaim { rows_max } => {
                self.app().state.reclaim(*rows_max).await.unwrap();
                return Ok(());
            }
            Operation::Restart { limits: which } => return self.restart(*which).await,
        };
        self.look_at(touched).await?;
        self.identity_usage(By::Developer, touched).await
    }

    /// Compares everything.
    pub(super) async fn look_at_everything(&mut self) -> Agreed {
        for pool in 0..POOLS {
            for identity in 0..IDENTITIES {
                let mut at = Where { pool, identity, dataset: 0 };
                self.identity_usage(By::Developer, at).await?;
                self.list_datasets(By::Developer, at, None, TokenChoice::Absent).await?;
                for dataset in 0..DATASETS {
                    at.dataset = dataset;
                    self.look_at(at).await?;
                    self.describe(By::Developer, at).await?;
                }
            }
        }
        self.all_pool_usage(By::Developer, 0).await
    }

    /// Compares a whole dataset.
    async fn look_at(&mut self, at: Where) -> Agreed {
        let (who, caller) = self.who(By::Developer, at);
        self.list_with(
            &who,
            caller,
            self.place(at),
            None,
            None,
            &(None, Token::Absent),
            &(None, Token::Absent),
        )
        .await
        .map(drop)
    }

    fn sent<T: Clone, U: Clone>(
        choice: TokenChoice,
        place: &Place,
        kind: &Issued<T>,
        other_kind: &Issued<U>,
    ) -> Sent<T> {
        let genuine = |found: Option<&(Place, String, T)>| match found {
            Some((_, token, meaning)) => (Some(token.clone()), Token::Issued(meaning.clone())),
            None => (None, Token::Absent),
        };
        match choice {
            TokenChoice::Absent => (None, Token::Absent),
            TokenChoice::Forged => (Some("Zm9yZ2Vk".to_owned()), Token::Forged),
            TokenChoice::Fresh | TokenChoice::Latest => genuine(kind.latest(place)),
            TokenChoice::Any(which) => genuine(kind.any(which)),
            TokenChoice::Before(number) => genuine(kind.0.iter().rev().nth(number)),
            TokenChoice::Damaged(which, at) => match kind.any(which) {
                Some((_, token, _)) => (Some(damaged(token, at)), Token::Forged),
                None => (None, Token::Absent),
            },
            TokenChoice::OtherKind(which) => match other_kind.any(which) {
                Some((_, token, _)) => (Some(token.clone()), Token::Forged),
                None => (None, Token::Absent),
            },
        }
    }

    async fn list(
        &mut self,
        by: By,
        at: Where,
        last: LastChoice,
        max: Option<i64>,
        session: TokenChoice,
        page: TokenChoice,
    ) -> Agreed {
        let (place, (who, caller)) = (self.place(at), self.who(by, at));
        let session = Self::sent(session, &place, &self.sessions, &self.pages);
        let sent = Self::sent(page, &place, &self.pages, &self.sessions);
        let (count, _) = self.model.counts(&place, "");
        let count = count.cast_signed();
        let last = match (last, &sent.1, page) {
            (_, Token::Issued(page), TokenChoice::Latest) => Some(page.last_sync_count),
            (LastChoice::Absent, ..) => None,
            (LastChoice::Zero, ..) => Some(0),
            (LastChoice::Back(by), ..) => Some((count - i64::from(by)).max(0)),
            (LastChoice::Ahead(by), ..) => Some(count + i64::from(by)),
            (LastChoice::Negative, ..) => Some(-1),
        };
        let Some(output) = self.list_with(&who, caller, place, last, max, &session, &sent).await? else {
            return Ok(());
        };
        let (place, output, session, page) = output;
        self.sessions.0.push((place.clone(), output.sync_session_token, session));
        if let (Some(token), Some(page)) = (output.next_token, page) {
            self.pages.0.push((place, token, page));
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "they are the members of the request")]
    async fn list_with(
        &mut self,
        who: &Who,
        caller: Caller,
        place: Place,
        last_sync_count: Option<i64>,
        max_results: Option<i64>,
        session: &Sent<Session>,
        page: &Sent<Page>,
    ) -> Agreed<Option<(Place, sync::list_records::Output, Session, Option<Page>)>> {
        let input = sync::list_records::Input {
            identity_pool_id: Some(place.pool.clone()),
            identity_id: Some(place.identity.clone()),
            dataset_name: Some(place.dataset.clone()),
            last_sync_count,
            next_token: page.0.clone(),
            max_results,
            sync_session_token: session.0.clone(),
        };
        let step = format!("ListRecords {input:?} by {who:?}");
        let told = call::<sync::ListRecords>(self.app(), Some(caller), self.now(), input).await;
        let ask = Listing { last_sync_count, max_results, session: session.1.clone(), page: page.1.clone() };
        let (expected, meanings) = match self.model.list_records(who, &place, &ask) {
            Ok((output, session, page)) => (Ok(output), Some((session, page))),
            Err(refused) => (Err(refused), None),
        };
        let tokenless = told.clone().map(|told| sync::list_records::Output {
            next_token: told.next_token.map(|_| String::new()),
            sync_session_token: String::new(),
            ..told
        });
        agree(&step, tokenless, expected)?;
        Ok(told.ok().zip(meanings).map(|(told, (session, page))| (place, told, session, page)))
    }

    fn patch(&self, place: &Place, patch: &Patch) -> sync::update_records::RecordPatch {
        let key = KEYS[patch.key];
        let (of_dataset, of_record) = self.model.counts(place, key);
        let right = of_record.unwrap_or(0).cast_signed();
        sync::update_records::RecordPatch {
            op: Some(match patch.op {
                OpChoice::Replace => "replace".to_owned(),
                OpChoice::Remove => "remove".to_owned(),
                OpChoice::Other => "rename".to_owned(),
            }),
            key: Some(key.to_owned()),
            value: patch.value.map(|value| VALUES[value].to_owned()),
            sync_count: match patch.count {
                CountChoice::Right => Some(right),
                CountChoice::OfDataset => Some(of_dataset.cast_signed()),
                CountChoice::Zero => Some(0),
                CountChoice::Above(by) => Some(right + i64::from(by)),
                CountChoice::Below(by) => Some((right - i64::from(by)).max(0)),
                CountChoice::Negative => Some(-1),
                CountChoice::Absent => None,
            },
            device_last_modified_date: patch
                .device_date
                .map(|millis| Timestamp::from_unix_milliseconds(self.model.now + millis)),
        }
    }

    async fn update(
        &mut self,
        by: By,
        at: Where,
        device: Option<u8>,
        session: TokenChoice,
        patches: Option<&[Patch]>,
    ) -> Agreed {
        if matches!(session, TokenChoice::Fresh) {
            self.list(by, at, LastChoice::Zero, None, TokenChoice::Absent, TokenChoice::Absent).await?;
        }
        let (place, (who, caller)) = (self.place(at), self.who(by, at));
        let (token, session) = Self::sent(session, &place, &self.sessions, &self.pages);
        let patches: Option<Vec<_>> =
            patches.map(|patches| patches.iter().map(|patch| self.patch(&place, patch)).collect());
        let device = device.map(|device| format!("device {device}"));
        let input = sync::update_records::Input {
            identity_pool_id: Some(place.pool.clone()),
            identity_id: Some(place.identity.clone()),
            dataset_name: Some(place.dataset.clone()),
            device_id: device.clone(),
            record_patches: patches.clone(),
            sync_session_token: token,
            client_context: None,
        };
        let ask = Update { device, session, patches: patches.unwrap_or_default() };
        self.send_update(Applied { who, caller, place, input, ask }).await.map(drop)
    }

    /// Returns true if records were changed.
    async fn send_update(&mut self, update: Applied) -> Agreed<bool> {
        let Applied { who, caller, place, input, ask } = &update;
        let step = format!("UpdateRecords {input:?} by {who:?}");
        let told =
            call::<sync::UpdateRecords>(self.app(), Some(caller.clone()), self.now(), input.clone()).await;
        let expected = self.model.update_records(who, place, ask);
        let changed = agree(&step, told, expected)?.is_some_and(|output| !output.records.is_empty());
        if changed {
            self.applied.push(update);
        }
        Ok(changed)
    }

    /// An update that was applied is refused when it is repeated, whatever happened in between.
    async fn repeat_update(&mut self, which: u8) -> Agreed {
        let Some(update) = self.applied.get(usize::from(which) % self.applied.len().max(1)).cloned() else {
            return Ok(());
        };
        let step = format!("UpdateRecords {:?} by {:?}", update.input, update.who);
        if self.send_update(update).await? {
            return Err(TestCaseError::fail(format!("applied twice: {step}")));
        }
        Ok(())
    }

    async fn update_many_times(&mut self, at: Where) -> Agreed {
        let patch = Patch {
            key: 0,
            op: OpChoice::Replace,
            value: Some(1),
            count: CountChoice::Right,
            device_date: None,
        };
        let sessions = std::iter::repeat_n(TokenChoice::Fresh, 34);
        for session in sessions.chain([TokenChoice::Before(31), TokenChoice::Before(32)]) {
            self.update(By::Owner, at, None, session, Some(std::slice::from_ref(&patch))).await?;
        }
        Ok(())
    }

    async fn delete_dataset(&mut self, by: By, at: Where) -> Agreed {
        let (place, (who, caller)) = (self.place(at), self.who(by, at));
        let input = sync::delete_dataset::Input {
            identity_pool_id: Some(place.pool.clone()),
            identity_id: Some(place.identity.clone()),
            dataset_name: Some(place.dataset.clone()),
        };
        let step = format!("DeleteDataset {input:?} by {who:?}");
        let told = call::<sync::DeleteDataset>(self.app(), Some(caller), self.now(), input).await;
        agree(&step, told.map(|told| told.dataset), self.model.delete_dataset(&who, &place)).map(drop)
    }

    async fn describe(&mut self, by: By, at: Where) -> Agreed {
        let (place, (who, caller)) = (self.place(at), self.who(by, at));
        let input = sync::describe_dataset::Input {
            identity_pool_id: Some(place.pool.clone()),
            identity_id: Some(place.identity.clone()),
            dataset_name: Some(place.dataset.clone()),
        };
        let step = format!("DescribeDataset {input:?} by {who:?}");
        let told = call::<sync::DescribeDataset>(self.app(), Some(caller), self.now(), input).await;
        agree(&step, told.map(|told| told.dataset), self.model.describe_dataset(&who, &place)).map(drop)
    }

    async fn list_datasets(&mut self, by: By, at: Where, max: Option<i64>, page: TokenChoice) -> Agreed {
        let (place, (who, caller)) = (self.place(at), self.who(by, at));
        // Such a list is the identity's, whichever dataset was chosen.
        let list = Place { dataset: String::new(), ..place.clone() };
        let (next_token, page) = Self::sent(page, &list, &self.names, &self.sessions);
        let input = sync::list_datasets::Input {
            identity_pool_id: Some(place.pool.clone()),
            identity_id: Some(place.identity.clone()),
            next_token,
            max_results: max,
        };
        let step = format!("ListDatasets {input:?} by {who:?}");
        let told = call::<sync::ListDatasets>(self.app(), Some(caller), self.now(), input).await;
        let (expected, next) = match self.model.list_datasets(&who, &place, max, &page) {
            Ok((output, next)) => (Ok(output), next),
            Err(refused) => (Err(refused), None),
        };
        let tokenless = told.clone().map(|told| sync::list_datasets::Output {
            next_token: told.next_token.map(|_| String::new()),
            ..told
        });
        agree(&step, tokenless, expected)?;
        if let (Ok(told), Some(next)) = (told, next) {
            self.names.0.push((list, told.next_token.unwrap_or_default(), next));
        }
        Ok(())
    }

    async fn identity_usage(&mut self, by: By, at: Where) -> Agreed {
        let (place, (who, caller)) = (self.place(at), self.who(by, at));
        let input = sync::describe_identity_usage::Input {
            identity_pool_id: Some(place.pool.clone()),
            identity_id: Some(place.identity.clone()),
        };
        let step = format!("DescribeIdentityUsage {input:?} by {who:?}");
        let told = call::<sync::DescribeIdentityUsage>(self.app(), Some(caller), self.now(), input).await;
        agree(&step, told.map(|told| told.identity_usage), self.model.identity_usage(&who, &place)).map(drop)
    }

    async fn pool_usage(&mut self, by: By, at: Where) -> Agreed {
        let (place, (who, caller)) = (self.place(at), self.who(by, at));
        let input = sync::describe_identity_pool_usage::Input { identity_pool_id: Some(place.pool.clone()) };
        let step = format!("DescribeIdentityPoolUsage {input:?} by {who:?}");
        let told = call::<sync::DescribeIdentityPoolUsage>(self.app(), Some(caller), self.now(), input).await;
        let expected = self.model.pool_usage(&who, &place.pool);
        agree(&step, told.map(|told| told.identity_pool_usage), expected).map(drop)
    }

    /// Reads all pages; none but the last may have fewer items than requested.
    async fn all_pool_usage(&mut self, by: By, max: i64) -> Agreed {
        let (who, caller) = self.who(by, Where { pool: 0, identity: 0, dataset: 0 });
        let (mut usages, mut next_token) = (Vec::new(), None);
        let told = loop {
            let input = sync::list_identity_pool_usage::Input {
                next_token,
                max_results: Some(max).filter(|max| *max > 0),
            };
            let told =
                call::<sync::ListIdentityPoolUsage>(self.app(), Some(caller.clone()), self.now(), input)
                    .await;
            match told {
                Err(fault) => break Err(fault),
                Ok(told) => {
                    let asked = if max > 0 { max } else { 1024 };
                    assert_eq!(told.max_results, Some(asked));
                    assert_eq!(told.count, told.identity_pool_usages.len() as u64);
                    assert!(told.next_token.is_none() || told.count == asked.cast_unsigned());
                    usages.extend(told.identity_pool_usages);
                    next_token = told.next_token;
                    if next_token.is_none() {
                        break Ok(usages);
                    }
                }
            }
        };
        agree("ListIdentityPoolUsage", told, self.model.all_pool_usage(&who)).map(drop)
    }

    /// Put into the store directly, because hundreds of deletions would take most of a run.
    async fn add_markers(&mut self, at: Where, less: u8) {
        let place = self.place(at);
        let Some(life) = self.model.pool_life(&place.pool) else { return };
        let owner = IdentityRef {
            pool: self.incarnations[&life].clone(),
            identity: IdentityId::parse(&place.identity).unwrap(),
        };
        let missing = 256_usize.saturating_sub(usize::from(less) + self.model.markers(&place));
        let markers: Vec<(String, u64, u64, i64)> = (0..missing)
            .map(|number| {
                // Names on both sides of the datasets', counts low and high, and dates before and after the present
                // time, because the clock may have been set back.
                let name = format!("{}{}", if number % 2 == 0 { "a" } else { "x" }, self.markers + number);
                let deleted_on = self.model.now + 1000 * ((number as u64 % 7).cast_signed() - 3);
                (name, 1 + number as u64 % 3, 2 + number as u64 % 5, deleted_on)
            })
            .collect();
        self.markers += missing;
        let holdings = self.app().state.reads().heads(&owner).await.unwrap().holdings;
        let added = u32::try_from(missing).unwrap();
        let mut changes = Changes {
            expect: vec![Expect::Pool(owner.pool.clone())],
            write: vec![Write::PutHoldings(
                owner.clone(),
                Holdings {
                    version: holdings.version.next(),
                    deleted_names: holdings.deleted_names + added,
                    ..holdings
                },
            )],
        };
        for (name, generation, count, deleted_on) in &markers {
            let head = Head {
                generation: Generation(*generation),
                sync_count: SyncCount(*count),
                deleted_at: SyncCount(*count),
                deleted_on: UnixMillis(*deleted_on),
                used_sessions: UsedSessions::default(),
                life: None,
            };
            let at = DatasetRef { owner: owner.clone(), name: DatasetName::parse(name).unwrap() };
            changes.write.push(Write::PutHead(at, head));
        }
        assert!(self.app().state.commit(changes).await.unwrap().is_done());
        self.model.add_markers(&place, &markers);
    }

    async fn hand_out(&mut self, at: Where) -> Agreed {
        let pool = pool_id(at.pool);
        let input = identity::get_id::Input { identity_pool_id: Some(pool.clone()), ..Default::default() };
        let told = call::<GetId>(self.app(), None, self.now(), input).await;
        if let (Ok(told), Some(_)) = (&told, self.model.pool_life(&pool)) {
            self.identities[at.pool][at.identity].clone_from(&told.identity_id);
            self.model.hand_out(&pool, &told.identity_id);
            return Ok(());
        }
        if told.is_err() && self.model.pool_life(&pool).is_none() {
            return Ok(());
        }
        Err(TestCaseError::fail(format!("GetId {pool}: {told:?}")))
    }

    async fn delete_identity(&mut self, at: Where) -> Agreed {
        let place = self.place(at);
        let input =
            identity::delete_identities::Input { identity_ids_to_delete: Some(vec![place.identity.clone()]) };
        let told = call::<DeleteIdentities>(self.app(), Some(developer()), self.now(), input).await;
        self.model.delete_identity(&place.identity);
        agree("DeleteIdentities", told.map(|told| told.unprocessed_identity_ids), Ok(Vec::new())).map(drop)
    }

    async fn delete_pool(&mut self, at: Where) -> Agreed {
        let id = pool_id(at.pool);
        let input = identity::delete_identity_pool::Input { identity_pool_id: Some(id.clone()) };
        let told = call::<DeleteIdentityPool>(self.app(), Some(developer()), self.now(), input).await;
        agree("DeleteIdentityPool", told.map(drop), self.model.delete_pool(&id)).map(drop)
    }

    async fn create_pool(&mut self, which: usize) -> Agreed {
        let id = pool_id(which);
        let told = create_pool(self.app(), &id).await;
        match (told, self.model.pool_life(&id)) {
            (Ok((at, created)), None) => {
                let life = self.model.create_pool(&id, created.0);
                self.incarnations.insert(life, at);
                Ok(())
            }
            (Err(_), Some(_)) => Ok(()),
            (told, _) => Err(TestCaseError::fail(format!("creating {id}: {told:?}"))),
        }
    }

    /// Does the background work, at the time of the run.
    async fn sweep(&mut self) -> Agreed {
        for sweep in self.app().state.reads().sweeps(self.now(), SWEEPS_MAX).await.unwrap() {
            let view = self.app().state.reads().heads(&sweep.owner).await.unwrap();
            let pool = self.app().state.reads().pool(&sweep.owner.pool.id).await.unwrap().unwrap();
            let effects = Effects::of(&pool, None);
            let changes = delete_identities::sweep(&view, None, self.now(), &sweep, &effects);
            assert!(self.app().state.commit(changes).await.unwrap().is_done());
        }
        self.model.sweep();
        self.look_at_everything().await
    }

    async fn restart(&mut self, which: usize) -> Agreed {
        if let Some(app) = self.app.take() {
            app.state.store_sessions().await;
            let app = Arc::into_inner(app);
            assert!(app.is_some(), "the program is still in use");
        }
        self.model.limits = limits(which);
        self.start().await;
        self.look_at_everything().await
    }
}
