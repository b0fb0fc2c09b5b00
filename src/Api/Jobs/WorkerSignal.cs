namespace Gradus.Api.Jobs;

/// <summary>Wakes the worker of this process, if it has one. Wishes that come while it looks are one wish.</summary>
internal sealed class WorkerSignal : IDisposable
{
    private readonly SemaphoreSlim wishes = new(0, 1);

    public void Set()
    {
        try
        {
            wishes.Release();
        }
        catch (SemaphoreFullException)
        {
            // Somebody wished already, and nobody has looked since.
        }
    }

    public Task WaitAsync(CancellationToken cancellationToken) => wishes.WaitAsync(cancellationToken);

    public void Dispose() => wishes.Dispose();
}
