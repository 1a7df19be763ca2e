//! What is in a cart, and what it costs, in cents.

use std::collections::BTreeMap;

#[derive(Default)]
pub struct Cart {
    lines: BTreeMap<String, (u64, u64)>,
}

impl Cart {
    /// So many more of it; `None` for less than one.
    pub fn put(&mut self, name: &str, cents: u64, count: u64) -> Option<()> {
        if count < 1 {
            return None;
        }
        let line = self.lines.entry(name.to_string()).or_insert((cents, 0));
        *line = (cents, line.1 + count);
        Some(())
    }

    pub fn total(&self) -> u64 {
        self.lines.values().map(|(cents, count)| cents * count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Cart;

    #[test]
    fn the_total_counts_each_line() {
        let mut cart = Cart::default();
        cart.put("tea", 350, 2).unwrap();
        cart.put("cup", 800, 1).unwrap();
        assert_eq!(cart.total(), 1500);
    }

    #[test]
    fn nothing_cannot_be_bought() {
        assert!(Cart::default().put("tea", 100, 0).is_none());
    }
}
