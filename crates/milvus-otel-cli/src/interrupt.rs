//! Runs a command until it ends or a signal asks for its end.

use std::future::Future;

use supervise::{Failure, Interrupt, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// The exit code of a command that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Runs to the end, or until a signal asks for one.
pub fn block_on<T, F: Future<Output = Result<T>>>(
    body: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = Interrupt> + Send>>) -> F,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("can't start: {error}")))?;
    let outcome = runtime.block_on(async {
        let interrupt = interrupted()?;
        body(Box::pin(interrupt)).await
    });
    // A thread that still reads or resolves a name has nothing more to say.
    runtime.shutdown_background();
    outcome
}

/// Listens from the moment it is called until the runtime ends, so that no signal is missed.
fn interrupted() -> Result<impl Future<Output = Interrupt> + Send + 'static> {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::new(format!("can't listen for signals: {error}")))
    };
    let mut ctrl_c = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    let (interrupt, interrupted) = oneshot::channel();
    // On a thread of its own: a second Ctrl-C must work while the body computes, or no longer waits for the first.
    tokio::spawn(async move {
        let by = tokio::select! {
            _ = ctrl_c.recv() => Interrupt::CtrlC,
            _ = terminate.recv() => Interrupt::Terminate,
            _ = hang_up.recv() => Interrupt::Terminate,
        };
        // A body that is already stopping everything has dropped its end.
        let _ = interrupt.send(by);
        ctrl_c.recv().await;
        // The guards notice that this process is gone, and end what it has started.
        std::process::exit(INTERRUPTED);
    });
    Ok(async {
        match interrupted.await {
            Ok(by) => by,
            Err(_) => std::future::pending().await,
        }
    })
}
