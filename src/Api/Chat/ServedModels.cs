using System.Diagnostics;
using System.Net.Sockets;
using Gradus.Api.Jobs;
using Gradus.Api.Operations;
using Gradus.Training.Inference;

namespace Gradus.Api.Chat;

/// <summary>
/// The serve child of this service: started on first use, and again by the next request after it died. Its socket lies in a folder that only this user
/// enters. A child that dies takes the answers under way with it (503), never the service.
/// </summary>
internal sealed class ServedModels(GradusSettings settings, ILogger<ServedModels> log) : IAsyncDisposable
{
    /// <summary>The longest socket path that the kernel takes is 107 bytes.</summary>
    private const int LongestSocketPath = 100;

    private readonly SemaphoreSlim starting = new(1, 1);
    private Child? child;
    private int started;

    /// <summary>The child's process id; null where none runs. For tests and health.</summary>
    public int? ProcessId => child is { Process.HasExited: false } running ? running.Process.Id : null;

    /// <summary>Where the child listens; null where none runs.</summary>
    public string? SocketPath => child?.Socket;

    /// <summary>A new connection to the child, on which the request has been sent.</summary>
    /// <exception cref="ApiException">503: the child could not be started or reached.</exception>
    public async Task<ServeConnection> SendAsync(ServeRequest request, CancellationToken cancel)
    {
        for (var attempt = 1; ; attempt++)
        {
            var running = await RunningAsync(cancel);
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(running.Socket), cancel);
                return await ServeConnection.OpenAsync(socket, request, cancel);
            }
            catch (Exception refused) when (refused is SocketException or IOException)
            {
                // It died a moment ago: once more with a new one.
                socket.Dispose();
                running.Kill();
                if (attempt == 2) throw Unavailable();
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }

    /// <summary>What the child's models do; none where no child runs.</summary>
    public async Task<IReadOnlyList<ModelStatus>> StatusAsync(CancellationToken cancel)
    {
        if (ProcessId is null) return [];
        await using var connection = await SendAsync(new ServeRequest("status"), cancel);
        return (await connection.ReadAsync(cancel))?.Models ?? [];
    }

    public static ApiException Unavailable() =>
        new(StatusCodes.Status503ServiceUnavailable, "The process that serves models ended before it answered; it starts again with the next request.", null, "model_unavailable") { RetryAfter = 1 };

    public async ValueTask DisposeAsync()
    {
        await starting.WaitAsync();
        child?.Stop();
        starting.Dispose();
    }

    private async Task<Child> RunningAsync(CancellationToken cancel)
    {
        if (child is { Process.HasExited: false } running) return running;
        await starting.WaitAsync(cancel);
        try
        {
            if (child is { Process.HasExited: false } other) return other;
            child?.Stop();
            return child = await StartAsync();
        }
        finally
        {
            starting.Release();
        }
    }

    private async Task<Child> StartAsync()
    {
        var socket = NewSocketPath();
        var threads = settings.ChatThreads == 0 ? Environment.ProcessorCount : settings.ChatThreads;
        string[] arguments =
        [
            "serve", "--device", settings.ChatDevice, "--socket", socket, "--models", $"{settings.ChatModels}", "--sequences", $"{settings.ChatSequences}", "--threads", $"{threads}",
            "--cache-mb", $"{settings.ChatCacheMb}", "--dtype", settings.ChatDtype,
        ];
        var process = new Process { StartInfo = StageChild.Command(arguments) };
        foreach (var (name, value) in ProcessEnvironment.For(threads)) process.StartInfo.Environment[name] = value;
        process.ErrorDataReceived += (_, line) =>
        {
            if (!string.IsNullOrWhiteSpace(line.Data)) log.LogWarning("Serve child: {Line}", line.Data);
        };
        process.Start();
        process.BeginErrorReadLine();
        var first = await process.StandardOutput.ReadLineAsync();
        if (first != ServeProcess.Ready)
        {
            log.LogError("The serve child ended before it was ready");
            new Child(process, socket).Kill();
            throw Unavailable();
        }
        log.LogInformation("Serve child {ProcessId} started on {Device}", process.Id, settings.ChatDevice);
        return new Child(process, socket);
    }

    private string NewSocketPath()
    {
        var folder = Path.Combine(settings.StateFolder, "serve");
        var name = $"{Environment.ProcessId}-{Interlocked.Increment(ref started)}.sock";
        if (System.Text.Encoding.UTF8.GetByteCount(Path.Combine(folder, name)) > LongestSocketPath) folder = Directory.CreateTempSubdirectory("gradus-").FullName;
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var path = Path.Combine(folder, name);
        File.Delete(path);
        return path;
    }

    private sealed record Child(Process Process, string Socket)
    {
        /// <summary>Asks it to end (its standard input closes), and makes it end where it does not.</summary>
        public void Stop()
        {
            try
            {
                Process.StandardInput.Close();
                if (!Process.WaitForExit(TimeSpan.FromSeconds(2))) Process.Kill();
            }
            catch (Exception gone) when (gone is InvalidOperationException or IOException)
            {
            }
            File.Delete(Socket);
            Process.Dispose();
        }

        public void Kill()
        {
            try
            {
                Process.Kill();
                Process.WaitForExit();
            }
            catch (InvalidOperationException)
            {
            }
        }
    }
}
