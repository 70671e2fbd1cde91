//! What a live capture lost, in words: a packet that was lost cannot be named, and a "not seen" is worth as much as the capture.
//!
//! Told when it begins, whenever it has grown tenfold, and at the end. Road not taken: a line for each loss, which would come in each
//! turn of a capture that cannot follow.

use whither::export::InterfaceRow;

/// What a person was told so far.
#[derive(Debug, Default)]
pub(super) struct Losses {
    told: u64,
}

impl Losses {
    /// A line, when there is something new to say.
    pub(super) fn news(&mut self, row: &InterfaceRow) -> Option<String> {
        let lost = row.dropped_kernel.saturating_add(row.dropped_interface);
        if lost < self.told.saturating_mul(10).max(1) {
            return None;
        }
        self.told = lost;
        let mend = if row.dropped_kernel > 0 { "; a larger --buffer, or a --filter, may help" } else { "" };
        Some(format!("{}{mend}; whither_capture_dropped_packets_total goes on counting", told(row)))
    }
}

/// What was captured and what was lost.
pub(super) fn told(row: &InterfaceRow) -> String {
    let InterfaceRow { interface, packets, dropped_kernel, dropped_interface, .. } = row;
    let lost = dropped_kernel.saturating_add(*dropped_interface);
    if lost == 0 {
        return format!("{packets} packets captured on {interface}, none lost");
    }
    let all = packets.saturating_add(lost);
    let share = 100.0 * lost as f64 / all as f64;
    let share = if share < 0.01 { "less than 0.01".to_owned() } else { format!("{share:.2}") };
    format!(
        "{packets} packets captured on {interface}, {lost} LOST ({share} %): {dropped_kernel} because the kernel's buffer was full, \
         {dropped_interface} by the interface"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(packets: u64, dropped_kernel: u64, dropped_interface: u64) -> InterfaceRow {
        InterfaceRow { interface: "wlan0".to_owned(), up: true, packets, dropped_kernel, dropped_interface }
    }

    #[test]
    fn the_end_says_what_was_lost_and_by_whom() {
        assert_eq!(told(&row(99, 0, 0)), "99 packets captured on wlan0, none lost");
        let lost = "9970 packets captured on wlan0, 30 LOST (0.30 %): 20 because the kernel's buffer was full, 10 by the interface";
        assert_eq!(told(&row(9_970, 20, 10)), lost);
        assert!(told(&row(10_000_000, 0, 1)).contains("1 LOST (less than 0.01 %)"));
    }

    #[test]
    fn a_loss_is_told_when_it_begins_and_when_it_has_grown_tenfold() {
        let mut losses = Losses::default();
        let mut said = |lost| losses.news(&row(1_000, lost, 0)).is_some();
        assert_eq!([0, 3, 3, 29, 30, 299, 900].map(&mut said), [false, true, false, false, true, false, true]);
        let mut losses = Losses::default();
        assert!(!losses.news(&row(1, 0, 7)).unwrap().contains("--buffer"), "a larger ring does not mend an interface");
    }
}
