namespace Gradus.Api.Demo;

/// <summary>
/// <c>demo --url URL [--again]</c>: trains the shipped recipe r1-zero-tiny through HTTP, as any client would, shows it learning, then shows what it
/// learned. A demo that is under way is followed, one that succeeded is only shown; <c>--again</c> begins a new one.
/// </summary>
internal static class DemoCommand
{
    /// <returns>0 when the demo was shown; 1 when a stage or a request failed; 2 for wrong arguments; 130 when interrupted.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        var (url, again) = ("http://localhost:5080", false);
        for (var i = 0; i < args.Length; i++)
        {
            if (args[i] == "--again") again = true;
            else if (args[i] == "--url" && i + 1 < args.Length && Uri.TryCreate(args[++i], UriKind.Absolute, out _)) url = args[i].TrimEnd('/');
            else
            {
                await Console.Error.WriteLineAsync($"demo: unexpected \"{args[i]}\"; usage: demo [--url http://localhost:5080] [--again]");
                return 2;
            }
        }
        using var stop = new CancellationTokenSource();
        using var interrupt = System.Runtime.InteropServices.PosixSignalRegistration.Create(System.Runtime.InteropServices.PosixSignal.SIGINT, Stop);
        using var terminate = System.Runtime.InteropServices.PosixSignalRegistration.Create(System.Runtime.InteropServices.PosixSignal.SIGTERM, Stop);
        var key = Environment.GetEnvironmentVariable("Gradus__Keys")?.Split(',')[0].Trim();
        using var client = new GradusClient(url, key);
        try
        {
            return await ShowAsync(client, url, key is not null, again, Console.Out, !Console.IsOutputRedirected, cancel => Task.Delay(TimeSpan.FromSeconds(1), cancel), stop.Token);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 130;
        }
        catch (Exception problem) when (problem is RefusedException or HttpRequestException)
        {
            await Console.Error.WriteLineAsync($"demo: {problem.Message}");
            return 1;
        }

        void Stop(System.Runtime.InteropServices.PosixSignalContext signal)
        {
            signal.Cancel = true;
            stop.Cancel();
        }
    }

    internal static async Task<int> ShowAsync(
        GradusClient client, string url, bool keyed, bool again, TextWriter output, bool terminal, Func<CancellationToken, Task> pause, CancellationToken cancel)
    {
        var demo = new DemoRun(client, new ProgressView(output, terminal, TimeProvider.System), TimeProvider.System, pause);
        var found = again ? null : await demo.FindAsync(cancel);
        var run = found ?? await demo.BeginAsync(cancel);
        var id = run.GetProperty("id").GetString()!;
        await output.WriteLineAsync(run.GetProperty("status").GetString() == "succeeded"
            ? $"The demo ran before ({id}; train it again: ./run.sh --demo)"
            : $"The demo: {DemoRun.Recipe} as {id} ({(found is null ? "POST /v1/runs" : "under way")})");
        var jobs = JobView.ReadAll(run);
        await demo.ResumeAsync(jobs, cancel);
        if (!jobs.All(job => job.Ended)) jobs = await demo.FollowAsync(id, cancel);
        if (jobs.FirstOrDefault(job => job.Status != "succeeded") is { } bad)
        {
            await output.WriteLineAsync($"The stage {bad.Name} ended as {bad.Status}: {bad.Error ?? "no reason given"} ({url}/v1/jobs/{bad.Id}/events)");
            return 1;
        }
        await new DemoReport(client, output, url, keyed, terminal ? Console.WindowWidth : 115).WriteAsync(jobs, cancel);
        return 0;
    }
}
