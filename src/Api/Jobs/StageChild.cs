using System.Diagnostics;
using System.Runtime.InteropServices;
using Gradus.Api.Operations;

namespace Gradus.Api.Jobs;

/// <summary>The process of one attempt as its worker sees it: started, signalled, reaped, with the last lines it wrote.</summary>
internal sealed class StageChild : IDisposable
{
    private const int LinesKept = 40;

    private readonly Process process;
    private readonly Queue<string> lines = new();
    private readonly Lock gate = new();

    private StageChild(Process process) => this.process = process;

    public int Id => process.Id;

    /// <summary>How it ended, once it has.</summary>
    public string Ending => process.ExitCode > 128 ? $"its process was ended by signal {process.ExitCode - 128}" : $"its process ended with exit code {process.ExitCode} and without an outcome";

    /// <summary>Starts this same binary for an attempt.</summary>
    /// <param name="environment">Set over what computing needs; null removes.</param>
    /// <param name="log">Told each line it writes.</param>
    public static StageChild Start(string jobId, int attempt, StageLaunch launch, IReadOnlyDictionary<string, string?> environment, Action<string> log)
    {
        var start = Command(["stage", "--job", jobId, "--attempt", attempt.ToString()]);
        foreach (var (name, value) in ProcessEnvironment.For(Environment.ProcessorCount).Concat(environment))
        {
            if (value is null) start.Environment.Remove(name);
            else start.Environment[name] = value;
        }

        var child = new StageChild(new Process { StartInfo = start });
        void Keep(object sender, DataReceivedEventArgs line)
        {
            if (line.Data is null) return;
            log(line.Data);
            lock (child.gate)
            {
                child.lines.Enqueue(line.Data);
                if (child.lines.Count > LinesKept) child.lines.Dequeue();
            }
        }

        child.process.OutputDataReceived += Keep;
        child.process.ErrorDataReceived += Keep;
        child.process.Start();
        child.process.BeginOutputReadLine();
        child.process.BeginErrorReadLine();
        // A child that died already is no error here: it is seen where it is awaited.
        try
        {
            child.process.StandardInput.WriteLine(launch.Line());
            child.process.StandardInput.Flush();
        }
        catch (IOException)
        {
        }

        return child;
    }

    public void Signal(int signal)
    {
        if (!process.HasExited) Posix.Send(process.Id, signal);
    }

    public Task EndedAsync(CancellationToken cancellationToken) => process.WaitForExitAsync(cancellationToken);

    public string LastLines()
    {
        lock (gate) return string.Join('\n', lines);
    }

    public void Dispose() => process.Dispose();

    /// <summary>This program again: its host where there is one beside it, else by the runtime that runs us.</summary>
    internal static ProcessStartInfo Command(IEnumerable<string> arguments)
    {
        var host = Path.Combine(AppContext.BaseDirectory, "Gradus.Api");
        var runtime = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../.."));
        var start = new ProcessStartInfo
        {
            FileName = File.Exists(host) ? host : Path.Combine(runtime, "dotnet"),
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        start.Environment["DOTNET_ROOT"] = runtime;
        if (!File.Exists(host)) start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "Gradus.Api.dll"));
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        return start;
    }
}
