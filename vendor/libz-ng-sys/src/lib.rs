//! What `flate2` asks of `libz-ng-sys`, answered by `libz-rs-sys`.
//!
//! `pingora-core` turns on `flate2/zlib-ng`, whose `-sys` crate builds C code with cmake, which a fresh machine does not
//! have. `libz-rs-sys` has the same C interface in Rust, so the names are all that is needed. `Cargo.toml` puts this
//! crate in the place of the other with `[patch.crates-io]`.
//!
//! One type differs: `flate2` fills `zalloc` and `zfree` with plain function pointers, `libz-rs-sys` declares them as
//! `Option`s of the same. Rust guarantees that both have one layout, so [`z_stream`] is declared here the way `flate2`
//! writes it, and the functions that take one pass its pointer on.

#![allow(non_camel_case_types, non_snake_case, clippy::missing_safety_doc)]

use std::ffi::{c_char, c_int, c_void};

pub use libz_rs_sys::{
    uInt, uLong, zlibVersion, Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_FINISH,
    Z_FULL_FLUSH, Z_MEM_ERROR, Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_PARTIAL_FLUSH, Z_STREAM_END, Z_STREAM_ERROR,
    Z_SYNC_FLUSH,
};

/// zlib's stream, with the allocator's functions as `flate2` gives them.
#[repr(C)]
pub struct z_stream {
    pub next_in: *mut u8,
    pub avail_in: uInt,
    pub total_in: uLong,
    pub next_out: *mut u8,
    pub avail_out: uInt,
    pub total_out: uLong,
    pub msg: *mut c_char,
    pub state: *mut c_void,
    pub zalloc: extern "C" fn(*mut c_void, uInt, uInt) -> *mut c_void,
    pub zfree: extern "C" fn(*mut c_void, *mut c_void),
    pub opaque: *mut c_void,
    pub data_type: c_int,
    pub adler: uLong,
    pub reserved: uLong,
}

const _: () = assert!(size_of::<z_stream>() == size_of::<libz_rs_sys::z_stream>());

macro_rules! pass_on {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        pub unsafe extern "C" fn $name(stream: *mut z_stream, $($arg: $type),*) -> c_int {
            unsafe { libz_rs_sys::$name(stream.cast(), $($arg),*) }
        }
    )*};
}

pass_on! {
    deflate(flush: c_int);
    deflateEnd();
    deflateReset();
    deflateParams(level: c_int, strategy: c_int);
    deflateSetDictionary(dictionary: *const u8, length: uInt);
    deflateInit2_(level: c_int, method: c_int, bits: c_int, memory: c_int, strategy: c_int, version: *const c_char, size: c_int);
    inflate(flush: c_int);
    inflateEnd();
    inflateReset2(bits: c_int);
    inflateSetDictionary(dictionary: *const u8, length: uInt);
    inflateInit2_(bits: c_int, version: *const c_char, size: c_int);
}
