//! What a profile installs here, before any registry is asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::components::{self, ALL, Component, RenderFacts};
use crate::context::Context;
use crate::engine::plan::Selection;
use crate::error::{Error, Result, code};
use crate::facts::images;
use crate::lock::{Lock, LockedManifest};
use crate::manifest::{Reference, rewrite_image};
use crate::source::Sources;

/// What needs an image that kvnet does not install.
const KUBEADM: &str = "kubeadm";
const RUNTIME: &str = "runtime";
const VERIFICATION: &str = "verification";

/// What has to be in a lock.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The images, each with what needs it.
    pub images: BTreeMap<Reference, BTreeSet<String>>,
    /// The manifests that kvnet does not make itself.
    pub manifests: Vec<LockedManifest>,
    /// What could not be found out here, for people.
    pub gaps: Vec<String>,
}

impl Wanted {
    /// What the profile's components and its verification need, as far as their steps are selected.
    ///
    /// # Errors
    /// Those of manifests; `KVN104` for what is not the name of an image.
    pub async fn of_profile(cx: &Context, selection: &Selection) -> Result<Self> {
        let mut wanted = Self::default();
        let is_selected =
            |component: &&&Component| (component.is_used)(&cx.profile) && selection.wants(component.step);
        for component in ALL.iter().filter(is_selected) {
            let manifest = cx.unlocked(component, RenderFacts::default()).await?;
            for image in components::images_of(component, &cx.profile, &manifest.objects) {
                wanted.add(&image, component.id)?;
            }
            match (Sources::origin(component, &cx.profile), manifest.sha256) {
                (Some(from), Some(sha256)) => {
                    wanted.manifests.push(LockedManifest {
                        component: component.id.to_owned(),
                        from,
                        sha256,
                    });
                }
                (Some(_), None) => {
                    wanted.gaps.push(format!("the manifest of {}: {}", component.id, manifest.origin));
                }
                (None, _) => {}
            }
        }
        let (profile, rewrite) = (&cx.profile, &cx.profile.images.rewrite);
        if profile.verification.enabled && selection.wants(VERIFICATION) {
            wanted.add(&rewrite_image(&profile.verification.image, rewrite), VERIFICATION)?;
        }
        Ok(wanted)
    }

    /// Adds what kubeadm and the runtime of this node need. What the node does not say is taken from `old`, so that a
    /// lock that is renewed elsewhere loses nothing.
    ///
    /// # Errors
    /// Those of the node.
    pub async fn add_node(&mut self, cx: &Context, old: Option<&Lock>) -> Result<()> {
        let init = &cx.profile.cluster.init;
        let repository = init.cluster_configuration.get("imageRepository").and_then(|value| value.as_str());
        let host = cx.host.as_ref();
        match images::of_kubeadm(host, &init.kubernetes_version, repository.unwrap_or_default()).await? {
            Ok(found) => found.iter().try_for_each(|image| self.add(image, KUBEADM))?,
            Err(why) => self.keep(old, KUBEADM, &why)?,
        }
        match images::of_pause(host).await? {
            Ok(image) => self.add(&image, RUNTIME),
            Err(why) => self.keep(old, RUNTIME, &why),
        }
    }

    fn add(&mut self, image: &str, needed_by: &str) -> Result<()> {
        let reference: Reference =
            image.parse().map_err(|reason: String| Error::new(&code::PROFILE_VALUE, reason).at(needed_by))?;
        self.images.entry(reference).or_default().insert(needed_by.to_owned());
        Ok(())
    }

    fn keep(&mut self, old: Option<&Lock>, needed_by: &str, why: &str) -> Result<()> {
        let kept: Vec<String> = old
            .into_iter()
            .flat_map(|old| &old.images)
            .filter(|image| image.needed_by.contains(needed_by))
            .map(crate::lock::LockedImage::title)
            .collect();
        let outcome = if kept.is_empty() { "left out" } else { "as in the old lock" };
        self.gaps.push(format!("the images of {needed_by} are {outcome}: {why}"));
        kept.iter().try_for_each(|image| self.add(image, needed_by))
    }
}
