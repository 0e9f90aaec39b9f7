//! One conformance suite, run against every model over real sockets.
//!
//! ```text
//!   models! { name => subject; .. }  ×  cases! { subject { case .. } .. }  ──► #[test] conformance::name::subject::case
//! ```
//!
//! A model joins by a line in `models!`, below. A case is a function that takes a [`Model`], starts a server of it with
//! the settings it is about, and is a line in `cases!`; one that is in no line is dead code, which the compiler tells.
//!
//! No case is skipped for a model. Where models differ by their nature, they say so ([`Model::at_a_time`],
//! [`Model::stops`]), and the case holds each to what it says.

mod bodies;
mod commits;
mod connections;
mod curl;
mod deadlines;
mod duplex;
mod expectations;
mod fields;
mod limits;
mod methods;
mod model;
mod refusals;
mod routers;
mod routes;
mod server;
mod stopping;
mod streams;
mod transcripts;
mod until_close;

use anabranch_async_std::Model as Async;
use anabranch_mio::{Model as Mio, Ownership, Pinning};
use anabranch_std::Model as Std;
use anabranch_tokio::Model as Tokio;

use model::{Model, Subject};

const TWO: std::num::NonZeroUsize = std::num::NonZeroUsize::new(2).unwrap();

macro_rules! models {
    ($($name:ident => $subject:expr;)*) => { $(
        mod $name {
            use super::*;
            fn model() -> Model {
                Model::new(stringify!($name), $subject)
            }
            all_cases!();
        }
    )* };
}

macro_rules! cases {
    ($($subject:ident { $($case:ident)* })*) => { $(
        mod $subject {
            $(
                #[test]
                fn $case() {
                    crate::conformance::$subject::$case(&super::model());
                }
            )*
        }
    )* };
}

macro_rules! all_cases {
    () => {
        cases! {
            routes {
                page_names_the_model_and_links_to_the_rest
                plaintext_is_thirteen_bytes_of_a_known_length
                json_is_json
                parts_of_unknown_length_are_chunked_or_end_with_the_connection
                trailers_are_announced_and_come_last
                no_content_has_neither_body_nor_length
                not_modified_has_its_tag_and_no_body
                slow_waits_as_long_as_asked
                work_is_done_on_a_lane
                large_is_as_large_as_asked
                panic_is_answered_and_the_server_lives_on
                redirect_is_decoded_or_refused
                unknown_path_is_not_found
                query_changes_nothing_where_none_is_known
                absolute_target_is_served_as_its_path
            }
            methods {
                head_has_the_fields_of_get_and_no_body
                method_not_offered_is_told_what_is
                body_of_a_method_not_offered_is_not_read_first
                body_where_none_is_expected_is_passed_over
                options_of_the_server_is_answered_by_itself
                connect_and_upgrade_are_not_served
            }
            fields {
                fields_come_back_in_order_in_lower_case_and_trimmed
                body_is_read_before_its_fields_come_back
                trailer_fields_do_not_appear
                bytes_beyond_ascii_pass_in_values
            }
            bodies {
                echo_by_length_has_that_length
                echo_of_chunks_is_chunked
                echo_keeps_the_media_type
                empty_bodies_are_bodies
                discard_counts_what_came
                chunk_extensions_and_trailers_are_no_data
                malformed_chunks_are_never_answered_with_200
                body_cut_short_is_never_answered_with_200
                body_in_single_bytes_is_the_same_body
                echo_of_a_body_cut_short_is_not_complete
                body_not_wanted_and_cut_short_ends_the_connection_without_a_word
            }
            duplex {
                echo_of_eight_mebibytes_while_they_are_sent
                echo_of_chunks_while_they_are_sent
                echo_of_what_was_written_whole_before_reading
                echo_passes_on_what_has_come
                echo_holds_up_a_sender_that_does_not_read
                slow_reader_gets_everything
                answer_to_an_unread_body_is_read_and_no_reset
                answer_to_a_body_not_wanted_keeps_the_connection_if_that_is_short
            }
            expectations {
                continue_is_said_when_the_body_is_asked_for
                continue_is_not_said_to_who_sends_anyway_and_is_served
                final_answer_comes_without_continue_where_no_body_is_wanted
                unknown_expectation_cannot_be_met
                continue_is_never_said_to_http_1_0
            }
            connections {
                connection_lives_for_many_requests
                client_that_asks_for_the_end_gets_it
                http_1_0_closes_unless_asked_to_stay
                pipelined_requests_are_answered_in_order
                pipelined_bodies_are_told_from_requests
                pipelined_slow_and_quick_keep_their_order
                pipelining_without_reading_is_held_up_and_answered_in_full
                pipelined_requests_in_single_bytes_are_the_same_requests
                nothing_is_served_behind_the_last_request
                last_answer_is_read_whatever_was_sent_behind_its_request
                last_answer_is_not_held_up
                half_closed_client_gets_the_whole_answer
                half_close_within_a_head_is_refused
                client_that_closes_in_order_hears_nothing
                client_gone_while_its_request_waits_costs_nobody_else
                client_gone_while_its_job_runs_costs_nobody_else
                client_gone_in_the_middle_of_an_answer_costs_nobody_else
                client_gone_in_the_middle_of_its_body_costs_nobody_else
                connections_that_come_and_go_are_all_served
                many_connections_at_once_are_carried_as_the_model_says
                sixty_four_clients_are_all_answered
                requests_per_connection_are_bounded_if_told_so
            }
            refusals {
                malformed_heads_are_refused_and_the_connection_closes
                malformed_heads_in_single_bytes_are_refused_alike
                other_versions_are_refused
                http_2_preface_is_refused
                tls_is_told_that_this_is_not_tls
                answers_before_a_malformed_request_come_first
                one_empty_line_before_a_request_is_passed_over
            }
            limits {
                request_line_at_its_limit_and_beyond
                header_section_at_its_limit_and_beyond
                field_line_at_its_limit_and_beyond
                number_of_fields_at_its_limit_and_beyond
                body_at_its_limit_and_beyond
                default_body_limit_is_64_mebibytes
                chunk_lines_and_extensions_are_bounded
                limits_are_judged_before_the_end_of_what_they_bound
            }
            deadlines {
                silent_newcomer_is_closed
                trickling_head_is_timed_out
                body_without_progress_is_timed_out
                body_not_wanted_that_does_not_come_is_not_waited_for
                body_below_the_least_rate_is_timed_out
                idle_connection_is_closed_without_a_word
                reader_that_stalls_is_cut_off
                reader_that_is_slow_and_steady_is_not_cut_off
                client_that_does_not_close_is_not_waited_for_long
                time_in_a_handler_is_nobodys_fault
                handler_deadline_is_told_as_503
            }
            streams {
                stream_echoes_what_came_with_the_request_and_after
                stream_gives_back_what_was_sent_before_the_end
                stream_holds_up_a_sender_that_does_not_read
                stream_whose_job_panics_is_reset
                stream_comes_to_its_end_in_a_drain_and_is_reset_by_an_abort
                stream_whose_peer_is_gone_frees_its_thread
            }
            commits {
                commit_counts_operations_of_each_kind
                commit_is_parsed_as_it_comes_and_refused_at_its_first_error
                commit_of_another_type_is_told_which_is_taken
                commit_over_the_limit_is_refused
                commit_in_pieces_is_the_same_commit
                paths_of_commits_are_told_their_methods
            }
            routers {
                router_gives_the_same_bytes
                router_limits_what_it_takes_whole_and_not_what_it_streams
                router_streams_both_ways_at_once
                router_passes_on_what_has_come
                router_holds_up_a_sender_that_does_not_read
                router_that_fails_costs_its_own_connection
                router_knows_the_connection
                router_hands_over_an_upgraded_connection
            }
            until_close {
                answer_that_breaks_off_ends_with_a_reset_where_nothing_else_tells
                abort_within_an_answer_that_ends_with_the_connection_resets_it
                stall_within_an_answer_that_ends_with_the_connection_resets_it
                answer_that_is_whole_ends_in_order
            }
            stopping {
                drain_lets_requests_in_flight_finish
                drain_closes_idle_connections_at_once
                drain_answers_what_was_complete_before
                drain_lets_a_body_in_progress_finish
                drain_ends_accepting_where_the_model_listens_itself
                second_stop_aborts_what_is_left
                end_of_grace_aborts_what_is_left
            }
            curl {
                curl_speaks_http_1_0
                curl_keeps_its_connection
                curl_sees_no_body_of_head
                curl_uploads_ten_mebibytes_once_told_to_continue
                curl_reads_chunks_and_trailers
            }
            transcripts {
                routes
                methods
                bodies
                persistence
                pipelining
                expectations
                refusals
                limits
                deadlines
                ends
            }
        }
    };
}

models! {
    single => Subject::of(Std::Single).at_a_time(1);
    threads => Subject::of(Std::Threads);
    pool => Subject::of(Std::Pool { workers: 3, queue: 4 }).at_a_time(3);
    reactor => Subject::of(Mio::Reactor);
    multi_reactor => Subject::of(Mio::MultiReactor { loops: TWO, pinning: Pinning::Free });
    reactor_pool => Subject::of(Mio::ReactorPool { workers: TWO });
    staged => Subject::of(Mio::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Pinned });
    staged_shared => Subject::of(Mio::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Shared });
    tokio => Subject::of(Tokio::Tokio { workers: TWO });
    tokio_local => Subject::of(Tokio::TokioLocal { threads: TWO });
    smol => Subject::of(Async::Smol { threads: TWO });
    async_std => Subject::of(Async::AsyncStd);
    poll => Subject::poll_loop();
    task => Subject::tasks();
}
