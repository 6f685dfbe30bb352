//! GPU metrics from NVML. Without its library there are none.

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::metrics::Metrics;

/// An open NVML library.
pub(crate) struct Gpus(Nvml);

impl Gpus {
    /// Opens NVML, or returns why it cannot.
    pub(crate) fn open() -> Result<Self, NvmlError> {
        Nvml::init().map(Self)
    }

    /// Sets the gauges of every GPU that responds. Blocks on the driver.
    pub(crate) fn sample(&self, metrics: &Metrics) {
        for index in 0..self.0.device_count().unwrap_or(0) {
            if let Err(error) = self.sample_one(index, metrics) {
                tracing::debug!(gpu = index, error = %error, "a gpu does not respond");
            }
        }
    }

    fn sample_one(&self, index: u32, metrics: &Metrics) -> Result<(), NvmlError> {
        let gpu = self.0.device_by_index(index)?;
        let memory = gpu.memory_info()?;
        let utilization = f64::from(gpu.utilization_rates()?.gpu) / 100.0;
        metrics.gpu(index, utilization, memory.used, memory.total);
        Ok(())
    }
}
