//! Reads tree ensembles from their attributes: parallel lists with an entry a node and an entry a leaf's weight.
//!
//! An artifact may come from anywhere, so everything that evaluation takes for granted is checked here.

use std::collections::HashMap;

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::internal::*;

use super::trees::{Aggregate, Compare, Forest, Node};

/// A node's place in the artifact: its tree, and its number there.
type Place = (usize, usize);

/// Reads the trees; `leaf` is what the attributes of the leaves begin with, `class` or `target`.
pub fn read_forest(node: &NodeProto, leaf: &str, scores: usize) -> TractResult<Forest> {
    let places = pairs(node, "nodes_treeids", "nodes_nodeids")?;
    let mut index = HashMap::new();
    for (at, place) in places.iter().enumerate() {
        ensure!(index.insert(*place, at).is_none(), "the node {place:?} of the trees is there twice");
    }
    let (weights, ranges) = read_weights(node, leaf, scores)?;
    let nodes = read_nodes(node, &places, &index, &ranges)?;
    let features =
        nodes.iter().map(|node| if let Node::Branch { feature, .. } = node { *feature as usize + 1 } else { 0 });
    let features = features.max().unwrap_or_default();
    let roots = read_roots(&nodes, &places)?;
    Ok(Forest { nodes, roots, weights, features, scores })
}

/// The weights of the leaves, those of a leaf side by side, and where each leaf's are.
#[expect(clippy::type_complexity, reason = "two lists that belong together, read once")]
fn read_weights(
    node: &NodeProto,
    leaf: &str,
    scores: usize,
) -> TractResult<(Vec<(u32, f32)>, HashMap<Place, (u32, u32)>)> {
    let places = pairs(node, &format!("{leaf}_treeids"), &format!("{leaf}_nodeids"))?;
    let targets: Vec<usize> = list(node, &format!("{leaf}_ids"), places.len())?;
    let values: Vec<f32> = list(node, &format!("{leaf}_weights"), places.len())?;
    ensure!(targets.iter().all(|target| *target < scores), "a leaf of the trees speaks of a score that is not there");
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|at| places[*at]);
    let mut ranges = HashMap::new();
    let mut weights: Vec<(u32, f32)> = Vec::with_capacity(order.len());
    for at in order {
        let start = u32::try_from(weights.len())?;
        weights.push((u32::try_from(targets[at])?, values[at]));
        ranges.entry(places[at]).or_insert((start, start)).1 = start + 1;
    }
    Ok((weights, ranges))
}

fn read_nodes(
    node: &NodeProto,
    places: &[Place],
    index: &HashMap<Place, usize>,
    ranges: &HashMap<Place, (u32, u32)>,
) -> TractResult<Vec<Node>> {
    let count = places.len();
    let modes: Vec<String> = list(node, "nodes_modes", count)?;
    let features: Vec<usize> = list(node, "nodes_featureids", count)?;
    let thresholds: Vec<f32> = list(node, "nodes_values", count)?;
    let holds: Vec<usize> = list(node, "nodes_truenodeids", count)?;
    let fails: Vec<usize> = list(node, "nodes_falsenodeids", count)?;
    let missing = match node.get_attr_opt_vec::<i64>("nodes_missing_value_tracks_true")? {
        Some(values) if values.len() == count => values,
        Some(values) => bail!("nodes_missing_value_tracks_true has {} entries for {count} nodes", values.len()),
        None => vec![0; count],
    };
    let child = |at: usize, number: usize| -> TractResult<u32> {
        let place = (places[at].0, number);
        let child = index.get(&place).with_context(|| format!("the node {place:?} of the trees is missing"))?;
        Ok(u32::try_from(*child)?)
    };
    let read = |at: usize| -> TractResult<Node> {
        let Some(compare) = read_compare(&modes[at])? else {
            let (start, end) = ranges.get(&places[at]).copied().unwrap_or_default();
            return Ok(Node::Leaf { start, end });
        };
        Ok(Node::Branch {
            feature: u32::try_from(features[at])?,
            threshold: thresholds[at],
            compare,
            missing_holds: missing[at] != 0,
            holds: child(at, holds[at])?,
            fails: child(at, fails[at])?,
        })
    };
    (0..count).map(read).collect()
}

/// The first node of each tree. Walks every tree, so that none can lead in a circle.
fn read_roots(nodes: &[Node], places: &[Place]) -> TractResult<Vec<u32>> {
    let mut firsts: HashMap<usize, usize> = HashMap::new();
    for (at, (tree, number)) in places.iter().enumerate() {
        let first = firsts.entry(*tree).or_insert(at);
        if *number < places[*first].1 {
            *first = at;
        }
    }
    let mut roots: Vec<u32> = firsts.into_values().map(u32::try_from).collect::<Result<_, _>>()?;
    roots.sort_unstable_by_key(|root| places[*root as usize].0);
    let mut seen = vec![false; nodes.len()];
    let mut open = roots.clone();
    while let Some(at) = open.pop() {
        ensure!(!std::mem::replace(&mut seen[at as usize], true), "a tree leads in a circle");
        if let Node::Branch { holds, fails, .. } = nodes[at as usize] {
            open.extend([holds, fails]);
        }
    }
    Ok(roots)
}

fn read_compare(mode: &str) -> TractResult<Option<Compare>> {
    Ok(Some(match mode {
        "BRANCH_LEQ" => Compare::AtMost,
        "BRANCH_LT" => Compare::Below,
        "BRANCH_GTE" => Compare::AtLeast,
        "BRANCH_GT" => Compare::Above,
        "BRANCH_EQ" => Compare::Equal,
        "BRANCH_NEQ" => Compare::Unequal,
        "LEAF" => return Ok(None),
        other => bail!("nodes of the mode {other} are not supported"),
    }))
}

/// How what the trees say is brought together.
pub fn read_aggregate(node: &NodeProto) -> TractResult<Aggregate> {
    Ok(match node.get_attr_opt::<String>("aggregate_function")?.as_deref().unwrap_or("SUM") {
        "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        "MIN" => Aggregate::Least,
        "MAX" => Aggregate::Most,
        other => bail!("the aggregate_function {other} is not known"),
    })
}

fn pairs(node: &NodeProto, first: &str, second: &str) -> TractResult<Vec<Place>> {
    let first: Vec<usize> = node.get_attr_vec(first)?;
    let second: Vec<usize> = list(node, second, first.len())?;
    ensure!(!first.is_empty(), "an ensemble needs trees");
    Ok(first.into_iter().zip(second).collect())
}

fn list<'a, T>(node: &'a NodeProto, name: &str, length: usize) -> TractResult<Vec<T>>
where
    T: tract_onnx::pb_helpers::AttrTVecType<'a>,
{
    let values: Vec<T> = node.get_attr_vec(name)?;
    ensure!(values.len() == length, "{name} has {} entries where {length} are expected", values.len());
    Ok(values)
}
