namespace Gradus.Api.Jobs;

/// <summary>
/// The job engine as the rest of the service sees it: it says "look", which wakes a worker somewhere, and nothing more. What there is to do, who does
/// it and what became of it stands in our own tables, so a call that is lost costs one sweep of the worker (10 s).
/// </summary>
internal interface IJobDispatcher
{
    /// <summary>Wakes a worker. Never fails because the engine does: that is logged.</summary>
    Task LookAsync(CancellationToken cancellationToken);
}
