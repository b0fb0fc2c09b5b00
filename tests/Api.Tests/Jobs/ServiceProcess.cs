using System.Diagnostics;
using Gradus.Api.Jobs;
using Gradus.Tests;

namespace Gradus.Api.Tests.Jobs;

/// <summary>The real service in a process of its own, to be killed.</summary>
internal sealed class ServiceProcess : IDisposable
{
    private readonly Process process;

    private ServiceProcess(Process process) => this.process = process;

    public static ServiceProcess Start(PostgresDatabase database, string folder, params (string Name, string Value)[] environment)
    {
        var start = StageChild.Command([]);
        start.Environment["ConnectionStrings__Gradus"] = database.ConnectionString;
        start.Environment["Gradus__StateFolder"] = folder;
        start.Environment["Gradus__Url"] = "http://127.0.0.1:0";
        foreach (var (name, value) in environment) start.Environment[name] = value;
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return new ServiceProcess(process);
    }

    public void Kill() => Posix.Send(process.Id, Posix.Kill);

    public void Stop() => Posix.Send(process.Id, Posix.Terminate);

    public async Task EndedAsync()
    {
        using var limit = new CancellationTokenSource(JobLab.Limit);
        await process.WaitForExitAsync(limit.Token);
    }

    public void Dispose()
    {
        if (!process.HasExited) process.Kill(entireProcessTree: true);
        process.Dispose();
    }
}
