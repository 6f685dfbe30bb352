//! Computes the slots that a worker registers, from the devices of the trainer and the configuration. Pure.

use std::collections::BTreeMap;

use sweep_spec::trainer::{Device, Devices};

use crate::config::Slots;

/// One trial can run here at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `cpu` or `cuda:N`, as the trainer names it.
    pub device: String,
    /// The device's model name, for people.
    pub device_name: String,
    /// Memory in bytes that a trial may use, if known.
    pub memory_bytes: Option<u64>,
}

/// A configured device that the trainer does not offer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the trainer has no device {asked:?}; it has {offered}{cuda}")]
pub struct Unknown {
    asked: String,
    offered: String,
    cuda: String,
}

/// Resources of the machine besides devices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) memory_bytes: Option<u64>,
}

/// The slots for the setting `wanted`, in order of their index.
pub(crate) fn plan(
    wanted: &Slots,
    slot_memory: Option<u64>,
    offered: &Devices,
    machine: Machine,
) -> Result<Vec<Slot>, Unknown> {
    let gpus: Vec<&str> = names(offered).filter(|name| *name != "cpu").collect();
    let most = crate::config::MAX_SLOTS as usize;
    let devices: Vec<String> = match wanted {
        Slots::Auto if gpus.is_empty() => vec!["cpu".to_owned(); machine.cores.clamp(1, most)],
        Slots::Auto => gpus.iter().take(most).map(|name| (*name).to_owned()).collect(),
        Slots::Count(count) if gpus.is_empty() => vec!["cpu".to_owned(); *count as usize],
        Slots::Count(count) => gpus.iter().cycle().take(*count as usize).map(|name| (*name).to_owned()).collect(),
        Slots::Devices(devices) => devices.clone(),
    };
    let mut sharers: BTreeMap<&str, u64> = BTreeMap::new();
    for device in &devices {
        *sharers.entry(device).or_default() += 1;
    }
    let slot = |name: &String| {
        let device = find(offered, name).ok_or_else(|| unknown(name, offered))?;
        // The trainer reports the machine's memory; a container's limit may be lower.
        let here = if name == "cpu" { machine.memory_bytes } else { None };
        let whole = device.memory_bytes.into_iter().chain(here).min();
        let share = whole.map(|bytes| bytes / sharers.get(name.as_str()).copied().unwrap_or(1).max(1));
        Ok(Slot { device: name.clone(), device_name: device.description.clone(), memory_bytes: slot_memory.or(share) })
    };
    devices.iter().map(slot).collect()
}

fn names(offered: &Devices) -> impl Iterator<Item = &str> {
    offered.devices.iter().map(|device| device.name.as_str())
}

fn find<'a>(offered: &'a Devices, name: &str) -> Option<&'a Device> {
    offered.devices.iter().find(|device| device.name == name)
}

fn unknown(asked: &str, offered: &Devices) -> Unknown {
    let cuda = offered.cuda_unavailable.as_ref().map(|why| format!(" (no CUDA: {why})")).unwrap_or_default();
    Unknown { asked: asked.to_owned(), offered: names(offered).collect::<Vec<_>>().join(", "), cuda }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { cores: 3, memory_bytes: Some(12 << 30) };

    fn offered(gpus: usize) -> Devices {
        let device =
            |name: String, memory_bytes| Device { description: format!("model of {name}"), name, memory_bytes };
        let mut devices = vec![device("cpu".into(), None)];
        devices.extend((0..gpus).map(|n| device(format!("cuda:{n}"), Some(80 << 30))));
        Devices { devices, cuda_unavailable: (gpus == 0).then(|| "no driver".to_owned()) }
    }

    fn devices(slots: &[Slot]) -> Vec<&str> {
        slots.iter().map(|slot| slot.device.as_str()).collect()
    }

    #[test]
    fn auto_is_one_slot_for_each_gpu_and_else_one_for_each_core() {
        let slots = plan(&Slots::Auto, None, &offered(2), MACHINE).unwrap();
        assert_eq!(devices(&slots), ["cuda:0", "cuda:1"]);
        assert_eq!(slots[0].memory_bytes, Some(80 << 30));
        let slots = plan(&Slots::Auto, None, &offered(0), MACHINE).unwrap();
        assert_eq!(devices(&slots), ["cpu"; 3]);
        assert_eq!(slots[0].memory_bytes, Some(4 << 30));
    }

    #[test]
    fn a_number_is_shared_out_and_so_is_the_memory() {
        let slots = plan(&Slots::Count(3), None, &offered(2), MACHINE).unwrap();
        assert_eq!(devices(&slots), ["cuda:0", "cuda:1", "cuda:0"]);
        assert_eq!(slots[0].memory_bytes, Some(40 << 30));
        assert_eq!(slots[1].memory_bytes, Some(80 << 30));
        let slots = plan(&Slots::Count(1), Some(7), &offered(0), MACHINE).unwrap();
        assert_eq!(slots[0].memory_bytes, Some(7));
    }

    #[test]
    fn slots_share_what_the_container_leaves_of_the_memory_that_the_trainer_sees() {
        let mut offered = offered(0);
        offered.devices[0].memory_bytes = Some(64 << 30);
        let slots = plan(&Slots::Count(2), None, &offered, MACHINE).unwrap();
        assert_eq!(slots[0].memory_bytes, Some(6 << 30));
        offered.devices[0].memory_bytes = Some(8 << 30);
        let slots = plan(&Slots::Count(2), None, &offered, MACHINE).unwrap();
        assert_eq!(slots[0].memory_bytes, Some(4 << 30));
    }

    #[test]
    fn a_device_that_is_not_there_is_named_with_those_that_are_and_why() {
        let asked = Slots::Devices(vec!["cpu".into(), "cuda:0".into()]);
        let error = plan(&asked, None, &offered(0), MACHINE).unwrap_err().to_string();
        for part in ["cuda:0", "it has cpu", "no driver"] {
            assert!(error.contains(part), "{error}");
        }
        let slots = plan(&asked, None, &offered(1), MACHINE).unwrap();
        assert_eq!(slots[0].memory_bytes, Some(12 << 30));
    }
}
