using System.Collections.Concurrent;
using Gradus.Persistence;

namespace Gradus.Api.Jobs;

/// <summary>
/// The role worker: offers its devices, and whenever it is woken, a job ended, or 10 s have passed, it looks: ends attempts whose lease expired and claims
/// the next job for each device that is free. No tensor lives here: each attempt is a child process.
/// </summary>
internal sealed class JobWorker(
    JobClaims claims, RunStore runs, DeviceStore devices, WorkerOptions options, WorkerSignal signal, TimeProvider time, ILogger<JobWorker> log) : BackgroundService
{
    private readonly AttemptRunner runner = new(claims, runs, options, log);
    private readonly ConcurrentDictionary<string, (JobClaim Claim, Task Done)> running = new();
    private readonly SemaphoreSlim sweeping = new(1, 1);
    private readonly CancellationTokenSource leaving = new();
    private readonly string owner = $"{options.Host}:{Environment.ProcessId}";

    /// <summary>How many children it has.</summary>
    internal int Children => running.Count;

    /// <summary>Looks once. The timer and the wake-ups come here.</summary>
    public async Task SweepAsync(CancellationToken cancellationToken)
    {
        await sweeping.WaitAsync(cancellationToken);
        try
        {
            foreach (var device in options.Devices) await devices.BeatAsync(Describe(device), cancellationToken);
            foreach (var ended in await claims.EndExpiredAsync([.. running.Values.Select(attempt => attempt.Claim.JobId)], null, cancellationToken))
                log.LogWarning("The lease of attempt {Attempt} of {Job} expired; the job is {Status}", ended.Attempt, ended.JobId, ended.Status);
            foreach (var device in options.Devices.Select(options.DeviceId))
            {
                if (running.ContainsKey(device) || leaving.IsCancellationRequested) continue;
                if (await claims.ClaimAsync(owner, device, options.Lease, cancellationToken) is not { } claim) continue;
                // If we stop here: the job is claimed and nobody runs it; its lease expires and another sweep takes it.
                Training.Stages.KillPoint.Pass("claim-before-start");
                var known = new TaskCompletionSource();
                running[device] = (claim, RunAsync(device, claim, known.Task));
                known.SetResult();
            }
        }
        finally
        {
            sweeping.Release();
        }
    }

    /// <summary>Asks every child to save a checkpoint and leave, and waits for them.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await leaving.CancelAsync();
        await base.StopAsync(cancellationToken);
        await Task.WhenAll(running.Values.Select(attempt => attempt.Done));
    }

    public override void Dispose()
    {
        base.Dispose();
        leaving.Dispose();
        sweeping.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(WorkerOptions.SweepInterval, time);
        Task tick = Task.CompletedTask, wish = Task.CompletedTask;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                if (tick.IsCompleted) tick = timer.WaitForNextTickAsync(stoppingToken).AsTask();
                if (wish.IsCompleted) wish = signal.WaitAsync(stoppingToken);
                await SweepAsync(stoppingToken);
            }
            catch (Exception problem) when (problem is not OperationCanceledException)
            {
                log.LogWarning("A sweep failed and will be tried again: {Message}", problem.Message);
            }

            await Task.WhenAny(tick, wish);
        }
    }

    /// <summary>Of a GPU's memory nothing is known here: no tensor lives in this process.</summary>
    private Device Describe(string name)
    {
        var memory = name == "cpu" ? HostMemory.Read() : new(0, 0);
        return new()
        {
            Id = options.DeviceId(name), Host = options.Host, Name = name, MemoryBytes = memory.Total, FreeBytes = memory.Free,
            Bfloat16 = name != "cpu" || Training.Model.Processor.HasBFloat16,
        };
    }

    private async Task RunAsync(string device, JobClaim claim, Task known)
    {
        await known;
        await runner.RunAsync(claim, leaving.Token);
        running.TryRemove(device, out _);
        signal.Set();
    }
}
