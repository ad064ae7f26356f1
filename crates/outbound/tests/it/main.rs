//! The HTTP and file destinations over real sockets and real files.
