//! A desktop's panel, as far as programs talk to it: icons register with it, and it reads and
//! clicks their menus.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use zbus::message::Header;
use zbus::zvariant::{Dict, OwnedObjectPath, OwnedValue, Structure, Value};
use zbus::{Connection, Proxy};

use crate::home::Home;

const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const ITEM: &str = "org.kde.StatusNotifierItem";
const MENU: &str = "com.canonical.dbusmenu";

/// The panel; it is gone with this value.
#[derive(Debug)]
pub struct Panel {
    bus: Connection,
    icons: Arc<Mutex<Vec<Icon>>>,
}

/// Where the icon of a program is on the bus.
#[derive(Debug, Clone)]
struct Icon {
    owner: String,
    path: String,
}

/// An entry of a menu that has a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    id: i32,
    /// The text.
    pub label: String,
    /// Whether it can be clicked.
    pub enabled: bool,
}

struct Watcher {
    icons: Arc<Mutex<Vec<Icon>>>,
}

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, item: String, #[zbus(header)] header: Header<'_>) {
        let owner = header.sender().map(ToString::to_string);
        // Either a path at the sender, or a name with the usual path.
        let icon = match item.starts_with('/') {
            true => Icon {
                owner: owner.unwrap_or_default(),
                path: item,
            },
            false => Icon {
                owner: item,
                path: "/StatusNotifierItem".to_owned(),
            },
        };
        let mut icons = self.icons.lock().unwrap_or_else(PoisonError::into_inner);
        icons.push(icon);
    }

    fn register_status_notifier_host(&self, _host: String) {}

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        let icons = self.icons.lock().unwrap_or_else(PoisonError::into_inner);
        icons
            .iter()
            .map(|icon| format!("{}{}", icon.owner, icon.path))
            .collect()
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

impl Panel {
    /// Starts on the session bus of a home.
    ///
    /// # Errors
    /// When the home has no bus, or a panel already.
    pub async fn start(home: &Home) -> Result<Self> {
        let icons = Arc::<Mutex<Vec<Icon>>>::default();
        let watcher = Watcher {
            icons: icons.clone(),
        };
        let bus = zbus::connection::Builder::address(home.bus().as_str())?
            .serve_at("/StatusNotifierWatcher", watcher)?
            .name(WATCHER)?
            .build()
            .await?;
        Ok(Self { bus, icons })
    }

    /// Ends, as a panel does that crashes.
    ///
    /// # Errors
    /// When the bus is gone.
    pub async fn end(self) -> Result<()> {
        self.bus.close().await.context("the bus is gone")
    }

    fn icon(&self) -> Result<Icon> {
        let icons = self.icons.lock().unwrap_or_else(PoisonError::into_inner);
        icons.last().cloned().context("no icon has registered")
    }

    /// The words beside the icon.
    ///
    /// # Errors
    /// When there is no icon.
    pub async fn label(&self) -> Result<String> {
        let icon = self.icon()?;
        let proxy = Proxy::new(&self.bus, icon.owner, icon.path, ITEM).await?;
        Ok(proxy.get_property("XAyatanaLabel").await?)
    }

    async fn menu_proxy(&self) -> Result<Proxy<'static>> {
        let icon = self.icon()?;
        let item = Proxy::new(&self.bus, icon.owner.clone(), icon.path, ITEM).await?;
        let menu: OwnedObjectPath = item.get_property("Menu").await?;
        Ok(Proxy::new(&self.bus, icon.owner, menu, MENU).await?)
    }

    /// The menu of the icon that has registered last, without its lines.
    ///
    /// # Errors
    /// When there is no icon, or it has no menu.
    pub async fn menu(&self) -> Result<Vec<Entry>> {
        type Layout = (u32, (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>));
        let proxy = self.menu_proxy().await?;
        let names: Vec<&str> = Vec::new();
        let (_, (_, _, children)): Layout = proxy.call("GetLayout", &(0, -1, names)).await?;
        let entries = children.iter().map(|child| entry(child));
        Ok(entries
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Clicks the entry with this text.
    ///
    /// # Errors
    /// When there is none that can be clicked.
    pub async fn click(&self, label: &str) -> Result<()> {
        let menu = self.menu().await?;
        let Some(entry) = menu.iter().find(|entry| entry.label == label) else {
            bail!("{label:?} is not in {menu:?}");
        };
        ensure!(entry.enabled, "{label:?} can't be clicked");
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let event = (entry.id, "clicked", Value::I32(0), now as u32);
        let proxy = self.menu_proxy().await?;
        Ok(proxy.call("Event", &event).await?)
    }
}

/// `None`: a line.
fn entry(value: &Value<'_>) -> Result<Option<Entry>> {
    let fields = value.downcast_ref::<&Structure<'_>>()?.fields();
    let [id, properties, _] = fields else {
        bail!("no entry of a menu: {value:?}");
    };
    let properties = properties.downcast_ref::<&Dict<'_, '_>>()?;
    let Some(label) = properties.get::<_, String>(&"label")? else {
        return Ok(None);
    };
    Ok(Some(Entry {
        id: id.downcast_ref::<i32>()?,
        label,
        enabled: properties.get::<_, bool>(&"enabled")?.unwrap_or(true),
    }))
}
