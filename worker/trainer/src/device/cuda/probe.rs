//! Checks for everything that CUDA needs on this machine. Each missing part has its own message.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::device::unavailable;
use crate::failure::Failure;

/// Every CUDA program that is compiled at run time includes this header.
const HEADER: &str = "cuda_runtime.h";

/// Where to search.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// Names of the driver's library for the loader.
    pub(super) driver: Vec<String>,
    /// Names of NVRTC, which compiles kernels at run time.
    pub(super) compiler: Vec<String>,
    /// `CUDA_PATH`. It takes precedence even if it leads nowhere, as in Burn.
    pub(super) cuda_path: Option<OsString>,
    /// Files that exist only with a toolkit, each with its root.
    pub(super) toolkits: Vec<(PathBuf, PathBuf)>,
}

impl Probe {
    /// Searches where Burn does.
    pub(super) fn of_this_machine() -> Self {
        let names = |library: &str| cudarc::get_lib_name_candidates(library);
        let toolkit = |mark: &str, root: &str| (PathBuf::from(mark), PathBuf::from(root));
        Self {
            driver: [names("cuda"), names("nvcuda")].concat(),
            compiler: names("nvrtc"),
            cuda_path: env::var_os("CUDA_PATH"),
            toolkits: vec![
                toolkit("/usr/local/cuda", "/usr/local/cuda"),
                toolkit("/opt/cuda", "/opt/cuda"),
                toolkit("/usr/bin/nvcc", "/usr"),
            ],
        }
    }

    /// Finds the driver's library.
    ///
    /// # Errors
    /// `DeviceUnavailable`, as for every check here.
    pub(super) fn driver(&self) -> Result<(), Failure> {
        if self.driver.iter().any(|name| loads(name)) {
            return Ok(());
        }
        Err(unavailable("there is no NVIDIA driver on this machine: its library libcuda.so.1 cannot be loaded"))
    }

    /// Finds the compiler of kernels.
    pub(super) fn compiler(&self) -> Result<(), Failure> {
        if self.compiler.iter().any(|name| loads(name)) {
            return Ok(());
        }
        Err(unavailable(
            "NVRTC, which compiles CUDA kernels, cannot be loaded: install the CUDA toolkit, or put the folder of \
             libnvrtc.so into LD_LIBRARY_PATH",
        ))
    }

    /// Finds the headers that kernels include.
    pub(super) fn headers(&self) -> Result<(), Failure> {
        let Some(root) = self.toolkit() else {
            return Err(unavailable(
                "the CUDA headers, which the trainer needs to compile kernels, are missing: install the CUDA toolkit, \
                or set CUDA_PATH to the folder that contains its include folder",
            ));
        };
        let include = root.join("include");
        if root.to_str().is_none() {
            return Err(unavailable(format!("the path of the CUDA toolkit, {}, is not UTF-8", root.display())));
        }
        if !include.join(HEADER).is_file() {
            return Err(unavailable(format!(
                "there are no CUDA headers in {}, which lacks {HEADER}: set CUDA_PATH to the folder that contains a \
                CUDA toolkit's include folder",
                include.display()
            )));
        }
        Ok(())
    }

    fn toolkit(&self) -> Option<&Path> {
        let set = self.cuda_path.as_deref().map(Path::new);
        set.or_else(|| self.toolkits.iter().find(|(mark, _)| mark.exists()).map(|(_, root)| root.as_path()))
    }
}

/// The failure for a driver that does not start; `code` is its error, such as `CUDA_ERROR_NO_DEVICE`.
pub(super) fn refused(code: &str) -> Failure {
    unavailable(match code {
        "CUDA_ERROR_NO_DEVICE" => "the NVIDIA driver finds no device that it can use".to_owned(),
        "CUDA_ERROR_STUB_LIBRARY" => "the loaded libcuda.so is the toolkit's stub, not a driver".to_owned(),
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" => {
            "the NVIDIA driver in the kernel and its library are of different versions: restart the machine".to_owned()
        }
        _ => format!("the NVIDIA driver does not start: {code}"),
    })
}

/// Checks that `number` is one of the driver's `count` devices.
pub(super) fn among(number: u32, count: u32) -> Result<(), Failure> {
    match count {
        0 => Err(unavailable("the NVIDIA driver is there, but it has no device")),
        _ if number < count => Ok(()),
        1 => Err(unavailable(format!("there is no cuda:{number} on this machine, only cuda:0"))),
        _ => Err(unavailable(format!("there is no cuda:{number} on this machine, only cuda:0 to cuda:{}", count - 1))),
    }
}

fn loads(name: &str) -> bool {
    #[expect(
        unsafe_code,
        reason = "loading a library runs its initialisers; those of the driver and of NVRTC run on Burn's first call anyway"
    )]
    let library = unsafe { libloading::Library::new(name) };
    match library {
        // Burn loads it again and keeps it; unloading a driver in between could cause problems.
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sweep_spec::FailureClass;

    use super::*;

    /// A library that every Linux system with the same C library has.
    const SOME_LIBRARY: &str = "libc.so.6";

    fn nothing() -> Probe {
        Probe {
            driver: vec!["libcuda-of-nobody.so.1".to_owned()],
            compiler: vec!["libnvrtc-of-nobody.so".to_owned(), "libnvrtc-of-nobody.so.13".to_owned()],
            cuda_path: None,
            toolkits: vec![("/nobody/has/nvcc".into(), "/nobody".into())],
        }
    }

    fn sentence(answer: Result<(), Failure>) -> String {
        let failure = answer.unwrap_err();
        assert_eq!(failure.class, FailureClass::DeviceUnavailable);
        assert_eq!(failure.reason.lines().count(), 1, "{failure}");
        assert!(!failure.reason.ends_with('.') && !failure.reason.contains("  "), "{failure}");
        failure.reason
    }

    #[test]
    fn what_is_missing_has_a_sentence_of_its_own() {
        let nothing = nothing();
        let sentences = [sentence(nothing.driver()), sentence(nothing.compiler()), sentence(nothing.headers())];
        assert!(sentences[0].contains("driver") && sentences[0].contains("libcuda.so.1"), "{}", sentences[0]);
        assert!(sentences[1].contains("NVRTC"), "{}", sentences[1]);
        assert!(sentences[2].contains("CUDA_PATH"), "{}", sentences[2]);
    }

    #[test]
    fn a_library_under_any_of_its_names_is_found() {
        let mut probe = nothing();
        probe.driver.push(SOME_LIBRARY.to_owned());
        probe.compiler.push(SOME_LIBRARY.to_owned());
        assert!(probe.driver().is_ok() && probe.compiler().is_ok());
    }

    #[test]
    fn headers_are_looked_for_where_cuda_path_says_and_else_in_the_first_toolkit() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let empty = root.join("empty");
        let full = root.join("full");
        fs::create_dir_all(&empty).unwrap();
        fs::create_dir_all(full.join("include")).unwrap();
        fs::write(full.join("include").join(HEADER), "").unwrap();
        let toolkits = vec![(root.join("absent"), empty.clone()), (full.clone(), full.clone())];
        let mut probe = Probe { toolkits, ..nothing() };
        assert!(probe.headers().is_ok());
        probe.cuda_path = Some(empty.clone().into());
        assert!(sentence(probe.headers()).contains(&*empty.join("include").to_string_lossy()));
        probe.cuda_path = Some(full.into());
        probe.toolkits.clear();
        assert!(probe.headers().is_ok());
    }

    #[test]
    fn a_driver_that_does_not_start_says_why() {
        let codes = [
            "CUDA_ERROR_NO_DEVICE",
            "CUDA_ERROR_STUB_LIBRARY",
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
            "CUDA_ERROR_UNKNOWN",
        ];
        let sentences: Vec<String> = codes.iter().map(|code| sentence(Err(refused(code)))).collect();
        for (position, said) in sentences.iter().enumerate() {
            assert!(!sentences[..position].contains(said), "{said}");
        }
        assert!(sentences[3].contains("CUDA_ERROR_UNKNOWN"));
    }

    #[test]
    fn a_number_that_no_device_has_is_told_which_there_are() {
        assert!(among(0, 1).is_ok() && among(7, 8).is_ok());
        assert!(sentence(among(0, 0)).contains("no device"));
        assert!(sentence(among(1, 1)).ends_with("only cuda:0"));
        assert!(sentence(among(8, 8)).ends_with("only cuda:0 to cuda:7"));
        assert!(sentence(among(u32::MAX, 2)).contains("cuda:4294967295"));
    }

    #[test]
    fn this_machine_is_searched_under_the_driver_s_real_names() {
        let probe = Probe::of_this_machine();
        assert!(probe.driver.iter().any(|name| name == "libcuda.so.1"), "{:?}", probe.driver);
        assert!(probe.compiler.iter().any(|name| name.starts_with("libnvrtc.so")), "{:?}", probe.compiler);
    }
}
