//! The operations against a reference model: random runs of several devices of several identities, every step through
//! the real handlers, on every store. `PROPTEST_CASES` sets how many runs there are.

mod capacity;
mod dates;
mod installation;
mod interleaving;
mod large_pages;
mod model;
mod operation;
mod world;

use proptest::test_runner::{Config, TestRunner};

use installation::Home;
use world::World;

fn check(cases: u32, home: fn() -> Home) {
    let asked_for = std::env::var_os("PROPTEST_CASES").is_some();
    let default = Config { failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let config = if asked_for { default } else { Config { cases, ..default } };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let outcome = TestRunner::new(config).run(&operation::run(), |(developer_updates, operations)| {
        runtime.block_on(async {
            let mut world = World::new(home(), developer_updates).await?;
            for operation in &operations {
                world.step(operation).await?;
            }
            world.look_at_everything().await
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn the_store_in_memory_does_what_the_protocol_says() {
    check(160, Home::memory);
}

#[test]
fn the_embedded_store_does_what_the_protocol_says() {
    check(12, Home::embedded);
}
