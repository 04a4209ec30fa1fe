//! A plan as text: a tree of nodes with what the planner expected and what was seen. Pure.

use super::plan::{Node, Placed, Plan, whole};

const HEADER: [&str; 5] = ["node", "rows expected → seen", "loops", "blocks", "time"];

/// One line of the tree: a node with its numbers, or a remark to the node above it.
struct Line {
    label: String,
    numbers: Option<[String; 4]>,
}

/// Renders the plan. Rows are per loop; blocks and time are of all loops and include the nodes below.
pub(super) fn render(plan: &Plan) -> String {
    let nodes = plan.nodes();
    let mut lines = Vec::new();
    for (index, placed) in nodes.iter().enumerate() {
        let guides = guides(&nodes, index);
        lines.push(Line { label: format!("{guides}{}", label(placed.node)), numbers: Some(numbers(placed)) });
        let has_children = !placed.node.children.is_empty();
        let below = format!("{}{}", continued(&guides), if has_children { "│  " } else { "   " });
        lines.extend(
            remarks(placed.node).into_iter().map(|remark| Line { label: format!("{below}{remark}"), numbers: None }),
        );
    }
    let mut text = table(&lines);
    for trigger in &plan.triggers {
        let name = trigger.constraint.as_ref().unwrap_or(&trigger.name);
        text.push_str(&format!(
            "check of {name}: {} in {}\n",
            counted(trigger.calls, "call"),
            milliseconds(trigger.time_us())
        ));
    }
    text.push_str(&format!(
        "planning {}, execution {}\n",
        milliseconds(plan.planning_us()),
        milliseconds(plan.execution_us())
    ));
    text
}

fn table(lines: &[Line]) -> String {
    let width = |column: usize| {
        let cells =
            lines.iter().filter_map(|line| line.numbers.as_ref()).map(|numbers| numbers[column].chars().count());
        cells.chain([HEADER[column + 1].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    let first =
        lines.iter().filter(|line| line.numbers.is_some()).map(|line| line.label.chars().count()).max().unwrap_or(0);
    let row = |label: &str, cells: &[&str]| {
        let mut text = format!("{label:first$}");
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text.trim_end().to_owned() + "\n"
    };
    let mut text = row(HEADER[0], &HEADER[1..]);
    for line in lines {
        match &line.numbers {
            Some(numbers) => text.push_str(&row(&line.label, &numbers.each_ref().map(String::as_str))),
            None => text.push_str(&format!("{}\n", line.label.trim_end())),
        }
    }
    text
}

/// The lines of the tree to the left of a node.
fn guides(nodes: &[Placed<'_>], index: usize) -> String {
    let mut parts = Vec::new();
    let mut own = index;
    while let Some(parent) = nodes[own].parent {
        let is_last = !nodes[own + 1..].iter().any(|other| other.parent == Some(parent));
        parts.push(match (own == index, is_last) {
            (true, true) => "└─ ",
            (true, false) => "├─ ",
            (false, true) => "   ",
            (false, false) => "│  ",
        });
        own = parent;
    }
    parts.into_iter().rev().collect()
}

/// The same lines one row further down.
fn continued(guides: &str) -> String {
    guides.replace("├─ ", "│  ").replace("└─ ", "   ")
}

fn label(node: &Node) -> String {
    let subplan = node
        .subplan
        .as_deref()
        .map(|name| format!("{}: ", name.split(" (").next().unwrap_or(name)))
        .unwrap_or_default();
    let backward = if node.direction.as_deref() == Some("Backward") { " backward" } else { "" };
    let what = match (&node.index, &node.relation) {
        (Some(index), _) => format!("{backward} using {index}"),
        (None, Some(relation)) => format!(" on {relation}"),
        (None, None) => String::new(),
    };
    format!("{subplan}{}{what}", node.kind())
}

fn numbers(placed: &Placed<'_>) -> [String; 4] {
    let node = placed.node;
    let seen = node.seen_rows().map_or_else(|| "never ran".to_owned(), |rows| integer(whole(rows)));
    [
        format!("{} → {seen}", integer(whole(node.estimated_rows))),
        integer(whole(node.loops)),
        integer(node.buffers.touched()),
        milliseconds(node.total_us()),
    ]
}

fn remarks(node: &Node) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(removed) = node.removed_rows().filter(|rows| *rows > 0.0) {
        remarks.push(format!("{} thrown away per loop", counted(removed, "row")));
    }
    if let (Some(method), Some(space)) = (&node.sort_method, node.sort_kilobytes) {
        let place = node.sort_place.as_deref().unwrap_or("Memory").to_lowercase();
        remarks.push(format!("{method}, {} kB of {place}", integer(space)));
    }
    if let Some(fetches) = node.heap_fetches.filter(|fetches| *fetches > 0) {
        remarks.push(format!("{} looked up in the table", counted_whole(fetches, "row")));
    }
    remarks
}

fn counted(number: f64, noun: &str) -> String {
    counted_whole(whole(number), noun)
}

fn counted_whole(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", integer(number), if number == 1 { "" } else { "s" })
}

/// Three significant digits, never fewer than the whole milliseconds.
fn milliseconds(time_us: u64) -> String {
    let (whole, thousandths) = (time_us / 1000, time_us % 1000);
    match whole {
        0 => format!("0.{thousandths:03} ms"),
        1..10 => format!("{whole}.{:02} ms", thousandths / 10),
        10..100 => format!("{whole}.{} ms", thousandths / 100),
        _ => format!("{} ms", integer(whole)),
    }
}

/// An integer with its thousands apart.
pub(super) fn integer(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> String {
        render(&Plan::parse(serde_json::from_str(text).unwrap()).unwrap())
    }

    #[test]
    fn a_list_without_indexes() {
        insta::assert_snapshot!(rendered(include_str!("fixtures/list_posts_without.json")));
    }

    #[test]
    fn a_list_with_indexes() {
        insta::assert_snapshot!(rendered(include_str!("fixtures/list_posts_with.json")));
    }

    #[test]
    fn a_write_with_its_checks() {
        insta::assert_snapshot!(rendered(include_str!("fixtures/add_comment.json")));
    }

    #[test]
    fn times_have_three_digits() {
        assert_eq!(
            [0, 31, 1_000, 9_999, 12_345, 1_234_567].map(milliseconds),
            ["0.000 ms", "0.031 ms", "1.00 ms", "9.99 ms", "12.3 ms", "1,234 ms"]
        );
    }
}
