//! The rendezvous relay: it carries opaque messages between the connections of a room and answers STUN binding
//! requests on the same port number. It stores nothing, parses no payload, and bounds whatever a stranger controls.
