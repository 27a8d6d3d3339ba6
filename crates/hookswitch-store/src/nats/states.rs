//! The saved states of partitions: each is read by the next owner.

use anyhow::Context as _;

use super::streams::Nats;
use crate::copy::State;
use crate::partition::Partition;

impl Nats {
    /// Saves the state of a partition for its next owner.
    pub async fn save_state(
        &self,
        partition: Partition,
        position: u64,
        version: u32,
        state: &[u8],
    ) -> anyhow::Result<()> {
        let mut object = [&position.to_be_bytes()[..], &version.to_be_bytes()].concat();
        object.extend_from_slice(state);
        self.states.put(state_name(partition).as_str(), &mut &*object).await?;
        Ok(())
    }

    /// The state of a partition that was saved last.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn saved_state(&self, partition: Partition) -> anyhow::Result<Option<State>> {
        let Some(bytes) = self.object(&state_name(partition), || {}).await? else { return Ok(None) };
        let (position, rest) = bytes.split_first_chunk().context("it is damaged")?;
        let (version, state) = rest.split_first_chunk().context("it is damaged")?;
        let (position, version) = (u64::from_be_bytes(*position), u32::from_be_bytes(*version));
        Ok(Some(State { partition, position, version, bytes: state.to_vec() }))
    }

    /// The states of all partitions that have one.
    ///
    /// # Errors
    /// If one cannot be read.
    pub async fn saved_states(&self) -> anyhow::Result<Vec<State>> {
        let mut states = Vec::new();
        for partition in Partition::all(self.partitions()) {
            let state = self.saved_state(partition).await;
            states
                .extend(state.with_context(|| format!("the state of partition {partition} cannot be read"))?);
        }
        Ok(states)
    }
}

fn state_name(partition: Partition) -> String {
    format!("partition.{partition}")
}
