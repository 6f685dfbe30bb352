//! Counts of the events in one schedule or in many.

macro_rules! counts {
    ($($name:ident),+ $(,)?) => {
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub(crate) struct Counts {
            $(pub(crate) $name: u64,)+
        }

        impl Counts {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }

            /// Each name and number.
            pub(crate) fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }
    };
}

counts!(
    schedules,
    events,
    trials,
    accepted,
    attempts,
    adopted,
    revived,
    quarantined,
    suspended,
    worker_crashes,
    worker_restarts,
    worker_drains,
    poisonings,
    partitions,
    one_way_partitions,
    messages_lost,
    messages_duplicated,
    messages_reordered,
    messages_late,
    coordinator_crashes,
    coordinator_crashes_with_uncommitted_work,
    clock_jumps_forward,
    clock_jumps_backward,
    submits,
    cancels,
    cancelled_in_parts,
    cancelled_over_a_restart,
    pauses,
    resumes,
    priorities,
    retries,
    reopened,
    services,
    names_refused,
    names_replaced,
    held_back,
    released,
    waited_for_a_pool,
    taken_back,
    most_passed_over,
    pinned_anew,
);
