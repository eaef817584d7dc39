//! Environments, and what there is to give them.

use client::protocol::binary_size::BinarySize;
use client::protocol::slots::{Quantity, ResourceSlots};
use client::{CheckedPresets, ImageRow};
use serde_json::Value;

use crate::context::Context;
use crate::types::{
    Failure, Image, ImageList, ImageMinimum, Limits, LimitsRequest, Nothing, Preset, Slot, SlotUnit,
};

pub(crate) async fn list(context: &Context, _: Nothing) -> Result<ImageList, Failure> {
    let client = context.client().await?;
    let mut images: Vec<Image> = client
        .images()
        .await?
        .into_iter()
        .map(Image::from)
        .collect();
    images.sort_by(|a, b| a.title.cmp(&b.title).then_with(|| a.name.cmp(&b.name)));
    Ok(ImageList { images })
}

impl From<ImageRow> for Image {
    fn from(row: ImageRow) -> Self {
        let number = |slot: &str| {
            row.minimum(slot)
                .and_then(|text| text.parse::<Quantity>().ok())
        };
        let bytes = |text: Option<&str>| {
            text.and_then(|text| text.parse::<BinarySize>().ok())
                .map_or(0, |size| size.0)
        };
        let min = ImageMinimum {
            cpu: number("cpu").map_or(0.0, Quantity::as_f64),
            mem: bytes(row.minimum("mem")),
            shmem: bytes(row.label("ai.backend.resource.preferred.shmem")),
        };
        let name = row.canonical();
        let service_ports = row.service_ports().into_iter().map(Into::into).collect();
        let title = row
            .label("ai.backend.title")
            .map(str::to_owned)
            .or(row.humanized_name)
            .filter(|title| !title.is_empty())
            .unwrap_or_else(|| name.clone());
        Self {
            name,
            title,
            registry: row.registry.unwrap_or_default(),
            tag: row.tag.unwrap_or_default(),
            architecture: row.architecture.unwrap_or_default(),
            digest: row.digest,
            size_bytes: row.size_bytes.unwrap_or_default(),
            min,
            service_ports,
            installed: row.installed.unwrap_or_default(),
        }
    }
}

pub(crate) async fn limits(context: &Context, request: LimitsRequest) -> Result<Limits, Failure> {
    let profile = context.profile_name()?;
    let client = context.client_of(&profile).await?;
    let project = context
        .profile(&profile)?
        .account
        .map_or_else(|| "default".to_owned(), |account| account.project);
    let types = client.slot_types().await?;
    let checked = client
        .check_presets(&project, request.resource_group.as_deref())
        .await?;
    let slots = types
        .into_iter()
        .map(|(name, unit)| slot(&name, &unit, &checked))
        .collect();
    let presets = checked
        .presets
        .into_iter()
        .map(|preset| Preset {
            name: preset.name,
            slots: preset
                .resource_slots
                .0
                .into_iter()
                .map(|(slot, amount)| (slot, amount.to_string()))
                .collect(),
            shmem: preset.shared_memory.as_ref().and_then(shared_memory),
            allocatable: preset.allocatable,
        })
        .collect();
    Ok(Limits {
        slots,
        presets,
        resource_groups: checked.scaling_groups.into_keys().collect(),
    })
}

fn slot(name: &str, unit: &str, checked: &CheckedPresets) -> Slot {
    let unit = if unit == "bytes" {
        SlotUnit::Bytes
    } else {
        SlotUnit::Count
    };
    let finite = |slots: &ResourceSlots| {
        let amount = slots.0.get(name).copied().map(Quantity::as_f64);
        amount.filter(|amount| amount.is_finite())
    };
    let (account, machines) = (
        finite(&checked.keypair_remaining),
        finite(&checked.scaling_group_remaining),
    );
    let remaining = match (account, machines) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let used = finite(&checked.keypair_using).unwrap_or_default();
    Slot {
        name: name.to_owned(),
        // What the machines have is a limit too, where the account has none.
        max: finite(&checked.keypair_limits).or_else(|| machines.map(|left| left + used)),
        remaining,
        step: match (unit, name) {
            (SlotUnit::Bytes, _) => 256.0 * 1024.0 * 1024.0,
            (SlotUnit::Count, name) if name.ends_with(".shares") => 0.1,
            (SlotUnit::Count, _) => 1.0,
        },
        unit,
        used,
    }
}

fn shared_memory(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse::<BinarySize>().ok().map(|size| size.0),
        _ => None,
    }
}
