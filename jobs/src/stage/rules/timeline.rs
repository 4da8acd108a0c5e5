//! Which rules are active at which time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tidegate_rows::{Schema, Value};
use tidegate_rules::{CompiledScenario, Compiler, FactorPart, Factors, List, Lists, Part, Problems, Rules, Scenario, Version};

use super::list::ListSpec;
use super::document::{Document, FactorText, ScenarioText, Wrong, place};
use super::features::{FeatureSet, FeatureShop};
use super::read::placed;
use super::restore;
use crate::stage::kind::Head;
use crate::text::{Problem, Spanned};
use tidegate_runtime::{Error, stable_hash};

/// A document and what it was compiled to.
pub(super) struct Configuration {
    /// Tells it from all others of this process.
    id: u64,
    pub(super) document: Document,
    factors: Arc<Factors>,
    pub(super) features: Arc<FeatureSet>,
    compiler: Arc<Compiler>,
    pub(super) rules: Arc<Rules>,
}

impl Configuration {
    /// Compiles a document.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn new(document: Document, compiler: Compiler, shop: &FeatureShop) -> Result<Self, Wrong> {
        let (features, compiler) = (Arc::new(FeatureSet::none()), Arc::new(compiler));
        let nothing = Document { factors: Arc::default(), features: Arc::default(), scenarios: Vec::new() };
        let empty = Self { id: 0, document: nothing, factors: Arc::default(), features, compiler, rules: Arc::default() };
        empty.changed(document, 0, &shop.first(), shop)
    }

    /// The compiler for rules with these features. Another one knows nothing of what was compiled before.
    fn compiler(&self, features: &FeatureSet, shop: &FeatureShop) -> Arc<Compiler> {
        let named = |set: &FeatureSet| set.features.iter().map(|feature| (feature.name.clone(), feature.ty.clone())).collect::<Vec<_>>();
        let names = named(features);
        if names == named(&self.features) {
            return Arc::clone(&self.compiler);
        }
        Arc::new(Compiler::with_features(&shop.records, &names, self.compiler.lists().clone()))
    }

    /// Compiles another document as a version. What has not changed is taken over.
    pub(super) fn changed(&self, document: Document, version: u64, features: &Arc<FeatureSet>, shop: &FeatureShop) -> Result<Self, Wrong> {
        let mut wrong = Wrong::new();
        let compiler = self.compiler(features, shop);
        let same_features = Arc::ptr_eq(&compiler, &self.compiler);
        let same_factors = Arc::ptr_eq(&document.factors, &self.document.factors);
        let factors = if same_factors { Arc::clone(&self.factors) } else { Arc::new(read_factors(&document.factors, &mut wrong)) };
        let changed = |name: &str| !same_factors && factors.get(name) != self.factors.get(name);
        let mut scenarios: Vec<Arc<CompiledScenario>> = Vec::with_capacity(document.scenarios.len());
        for text in &document.scenarios {
            let known = self.document.scenarios.iter().position(|known| same_features && known.name.value == text.name.value);
            let before = known.and_then(|known| Some((&self.document.scenarios[known], self.rules.scenarios().get(known)?)));
            if let Some((old, compiled)) = before
                && same_factors
                && Arc::ptr_eq(old, text)
            {
                scenarios.push(Arc::clone(compiled));
                continue;
            }
            let rules = text.rules.iter().map(|rule| Arc::clone(&rule.read.rule)).collect();
            let scenario = Arc::new(Scenario { rules, ..text.head.scenario.clone() });
            match compiler.scenario(&scenario, &factors, before.map(|(_, compiled)| &**compiled), &changed) {
                Ok(compiled) => scenarios.push(Arc::new(compiled)),
                Err(problems) => wrong.extend(located(text, problems)),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let rules = Arc::new(Rules::new(scenarios, version).with_features(features.features.len()));
        Ok(Self { id: next(), document, factors, features: Arc::clone(features), compiler, rules })
    }

    /// What is valid and probably not meant.
    fn warnings(&self) -> Vec<Problem> {
        let texts = self.document.scenarios.iter().zip(self.rules.scenarios());
        texts.flat_map(|(text, compiled)| compiled.warnings().into_iter().map(|(part, message)| text_of(text, &part).span.warning(message))).collect()
    }

    /// Applies a version, from a time on up to which another configuration has been active.
    fn with(&self, version: &Version, shop: &FeatureShop, (until, from): (&Self, i64)) -> Result<Self, Wrong> {
        let mut document = self.document.clone();
        let mut touched = false;
        for change in version.changes.iter().filter(|change| change.path().is_some()) {
            document.apply(change, false)?;
            touched = true;
        }
        if !touched {
            // Only lists have changed.
            let rules = Rules::new(self.rules.scenarios().to_vec(), version.version).with_features(self.features.features.len());
            let (factors, features, compiler) = (Arc::clone(&self.factors), Arc::clone(&self.features), Arc::clone(&self.compiler));
            return Ok(Self { id: next(), document, factors, features, compiler, rules: Arc::new(rules) });
        }
        widen(&self.document, &mut document)?;
        let features = shop.changed(&self.features, &document.features, (&until.features, from))?;
        self.changed(document, version.version, &features, shop)
    }
}

/// A number that no other configuration has.
fn next() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Relaxed) + 1
}

/// Makes configurations, each once for all operators of a process.
pub(super) struct Workshop {
    pub(super) shop: Arc<FeatureShop>,
    specs: Arc<[ListSpec]>,
    /// The lists with their entries, once they are loaded.
    lists: OnceLock<Result<Lists, String>>,
    /// The one of the job file.
    first: Arc<Configuration>,
    /// What has become of configurations by versions, after others.
    made: Mutex<HashMap<(u64, u64, u64), Weak<Configuration>>>,
    /// What versions have made of the job file that were stored.
    restored: Mutex<HashMap<u64, Vec<Point<Configuration>>>>,
}

impl Workshop {
    /// Compiles the rules of a job file.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(super) fn new(document: Document, head: &Head, records: &Schema, specs: Arc<[ListSpec]>) -> Result<Self, Wrong> {
        let lists = specs.iter().map(|list| List::new(&list.name.value, list.by));
        let shop = Arc::new(FeatureShop::new(Arc::clone(&document.features), head, records)?);
        // Which entries a list has does not matter for whether rules are valid.
        let compiler = Compiler::new(records, Lists::new(lists));
        let first = Arc::new(Configuration::new(document, compiler, &shop)?);
        Ok(Self { shop, specs, lists: OnceLock::new(), first, made: Mutex::default(), restored: Mutex::default() })
    }

    /// Loads the lists, unless another worker of this process has.
    ///
    /// # Errors
    /// A file of a list can't be read.
    pub(super) fn load(&self) -> Result<(), Error> {
        let load = || {
            let lists = self.specs.iter().map(ListSpec::load).collect::<Result<Vec<List>, Error>>();
            lists.map(Lists::new).map_err(|error| error.to_string())
        };
        self.lists.get_or_init(load).as_ref().map(|_| ()).map_err(|error| Error::user(error.as_str()))
    }

    /// Whether the job file has a place for features.
    pub(super) fn has_features(&self) -> bool {
        self.first.document.features.given
    }

    /// Whether the job has lists.
    pub(super) fn has_lists(&self) -> bool {
        !self.specs.is_empty()
    }

    /// What is valid in the job file and probably not meant.
    pub(super) fn warnings(&self) -> Vec<Problem> {
        self.first.warnings()
    }

    /// The lists; without entries before they are loaded.
    #[inline]
    pub(super) fn lists(&self) -> &Lists {
        match self.lists.get() {
            Some(Ok(lists)) => lists,
            _ => self.first.compiler.lists(),
        }
    }

    fn changed(&self, before: &Configuration, version: &Version, until: (&Arc<Configuration>, i64)) -> Result<Arc<Configuration>, Wrong> {
        let lock = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (before.id, version.version, until.0.id);
        if let Some(made) = lock().get(&key).and_then(Weak::upgrade) {
            return Ok(made);
        }
        let new = Arc::new(before.with(version, &self.shop, (until.0, until.1))?);
        let mut made = lock();
        // Another operator may have been as fast.
        if let Some(made) = made.get(&key).and_then(Weak::upgrade) {
            return Ok(made);
        }
        if made.len() > 256 {
            made.retain(|_, made| made.strong_count() > 0);
        }
        made.insert(key, Arc::downgrade(&new));
        Ok(new)
    }
}

fn read_factors(texts: &[FactorText], wrong: &mut Wrong) -> Factors {
    let (factors, problems) = Factors::read(texts.iter().map(|(signature, body)| (signature.value.as_str(), body.value.as_str())));
    for (at, part, problem) in problems {
        let Some((signature, body)) = texts.get(at) else { continue };
        wrong.push(placed(if part == FactorPart::Signature { signature } else { body }, problem));
    }
    factors
}

/// Problems at their places in the texts.
fn located(text: &ScenarioText, problems: Problems) -> impl Iterator<Item = Problem> {
    problems.into_iter().map(|(part, problem)| placed(text_of(text, &part), problem))
}

fn text_of<'t>(text: &'t ScenarioText, part: &Part) -> &'t Spanned<String> {
    match part {
        Part::Rule(name, of) => text.rules.iter().find(|rule| rule.read.name.value == *name).map_or(&text.name, |rule| rule.read.text(*of)),
        part => text.head.text(part).unwrap_or(&text.name),
    }
}

/// Gives each parameter the type that it had.
pub(super) fn widen(old: &Document, new: &mut Document) -> Result<(), Wrong> {
    let mut wrong = Wrong::new();
    for scenario in &mut new.scenarios {
        let Some(before) = old.scenarios.iter().find(|before| before.name.value == scenario.name.value) else { continue };
        if Arc::ptr_eq(before, scenario) || before.head.scenario.params == scenario.head.scenario.params {
            continue;
        }
        let known = before.head.scenario.params.clone();
        let scenario = Arc::make_mut(scenario);
        for (name, value) in &mut scenario.head.scenario.params {
            let Some((_, old)) = known.iter().find(|(known, _)| known == name) else { continue };
            match (old, &value) {
                #[expect(clippy::cast_precision_loss, reason = "a threshold is meant roughly where it is this large")]
                (Value::Double(_), Value::Int(int)) => *value = Value::Double(*int as f64),
                (old, new) if old.type_of() != new.type_of() => {
                    let at = format!("scenarios.{}.params.{name}", scenario.name.value);
                    wrong.push(place(&at).problem(format!("the parameter `{name}` is of type {}, and this is of type {}", old.type_of(), new.type_of())));
                }
                _ => {}
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Makes what is active at a time from a job file and versions.
pub(super) trait Layers {
    /// What is active at a time.
    type Layer;

    /// That of the job file.
    fn first(&self) -> Arc<Self::Layer>;

    /// What a version makes of a layer that is active from a time on, where another has been active up to then.
    ///
    /// # Errors
    /// What is wrong with the version.
    fn change(&self, layer: &Arc<Self::Layer>, version: &Version, until: (&Arc<Self::Layer>, i64)) -> Result<Arc<Self::Layer>, Wrong>;

    /// What versions make of the job file that have been accepted before. Those that no longer fit it are left out.
    fn restored(&self, versions: &[&Version]) -> Vec<Point<Self::Layer>> {
        let mut points = vec![Point { from: i64::MIN, layer: self.first() }];
        for version in versions {
            points = added(self, &points, version).unwrap_or(points);
        }
        points
    }

    /// The number of the version that it is.
    fn version(layer: &Self::Layer) -> u64;
}

impl Layers for Workshop {
    type Layer = Configuration;

    fn first(&self) -> Arc<Configuration> {
        Arc::clone(&self.first)
    }

    fn change(
        &self,
        layer: &Arc<Configuration>,
        version: &Version,
        until: (&Arc<Configuration>, i64),
    ) -> Result<Arc<Configuration>, Wrong> {
        self.changed(layer, version, until)
    }

    fn restored(&self, versions: &[&Version]) -> Vec<Point<Configuration>> {
        let lock = || self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        let key = stable_hash(versions);
        if let Some(made) = lock().get(&key) {
            return made.clone();
        }
        let made = restore::restored(&self.first, versions, &self.shop);
        lock().insert(key, made.clone());
        made
    }

    fn version(layer: &Configuration) -> u64 {
        layer.rules.version()
    }
}

/// What is active, by the time from which on it is.
pub(super) struct Timeline<L: Layers = Workshop> {
    layers: Arc<L>,
    points: Vec<Point<L::Layer>>,
}

/// What is active from a time on.
pub(super) struct Point<T> {
    pub(super) from: i64,
    pub(super) layer: Arc<T>,
}

impl<T> Clone for Point<T> {
    fn clone(&self) -> Self {
        Self { from: self.from, layer: Arc::clone(&self.layer) }
    }
}

/// Adds a version that is higher than all others.
fn added<L: Layers + ?Sized>(layers: &L, points: &[Point<L::Layer>], version: &Version) -> Result<Vec<Point<L::Layer>>, Wrong> {
    let first = points.partition_point(|point| point.from < version.active);
    let own = points.get(first).is_none_or(|point| point.from != version.active);
    let mut new = points[..first].to_vec();
    // What is active up to the next point.
    let mut until = Arc::clone(&points[first.max(1) - 1].layer);
    if own {
        let layer = layers.change(&until, version, (&until, version.active))?;
        until = Arc::clone(&layer);
        new.push(Point { from: version.active, layer });
    }
    for point in &points[first..] {
        let layer = layers.change(&point.layer, version, (&until, point.from)).map_err(|wrong| {
            let then = L::version(&point.layer);
            if own { wrong.into_iter().map(|problem| problem.with_remark(&format!("once version {then} is active"))).collect() } else { wrong }
        })?;
        until = Arc::clone(&layer);
        new.push(Point { from: point.from, layer });
    }
    Ok(new)
}

impl<L: Layers> Timeline<L> {
    /// That of the job file for all times.
    pub(super) fn new(layers: Arc<L>) -> Self {
        let layer = layers.first();
        Self { layers, points: vec![Point { from: i64::MIN, layer }] }
    }

    /// Puts versions that were stored over it. One that no longer fits the job file is left out, and logged.
    pub(super) fn restore<'v>(&mut self, versions: impl Iterator<Item = &'v Version>) {
        let versions: Vec<&Version> = versions.collect();
        if !versions.is_empty() {
            self.points = self.layers.restored(&versions);
        }
    }

    /// From when on something is known to be active.
    pub(super) fn begins(&self) -> i64 {
        self.points[0].from
    }

    /// What is active at a time.
    #[inline]
    pub(super) fn at(&self, time: i64) -> &Arc<L::Layer> {
        let after = if self.points.len() == 1 { 1 } else { self.points.partition_point(|point| point.from <= time) };
        &self.points[after.max(1) - 1].layer
    }

    /// All that is active at some time that may still be asked for.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Arc<L::Layer>> {
        self.points.iter().map(|point| &point.layer)
    }

    /// Adds a version that is higher than all others: from its time on it lies over all of them, also over those that are active later.
    ///
    /// # Errors
    /// What is wrong with it at some time. Nothing has changed then.
    pub(super) fn add(&mut self, version: &Version) -> Result<(), Wrong> {
        self.points = added(&*self.layers, &self.points, version)?;
        Ok(())
    }

    /// Adds a version that the control desk has accepted.
    ///
    /// # Errors
    /// It does not fit here, which can't be: the desk has the same versions.
    pub(super) fn accepted(&mut self, version: &Version) -> Result<(), Error> {
        self.add(version).map_err(|wrong| {
            let why = wrong.first().map(Problem::in_one_line).unwrap_or_default();
            Error::internal(format!("version {} of the rules was accepted and does not fit: {why}", version.version))
        })
    }

    /// Forgets what is over at a time. Returns whether something was.
    pub(super) fn settle(&mut self, time: i64) -> bool {
        let over = self.points.partition_point(|point| point.from <= time);
        if over > 1 {
            self.points.drain(..over - 1);
        }
        over > 1
    }
}
