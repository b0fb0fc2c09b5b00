// The child `serve --device D --socket PATH`: models and their batches in a process of their own, so that a native crash costs the answers under way and
// never the service. It ends when its standard input does: that is how it sees that its parent is gone.
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Gradus.Training;
using Gradus.Training.Inference;
using Gradus.Training.Model;
using Gradus.Training.Text;

namespace Gradus.Api.Chat;

internal sealed class ServeProcess(ModelThread models, Socket listener)
{
    /// <summary>Said on standard output once connections are taken.</summary>
    public const string Ready = "ready";

    private int connections;

    /// <summary>The arguments after <c>serve</c>.</summary>
    /// <returns>0 after the end of standard input.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        var (device, socket) = (Argument(args, "--device") ?? "cpu", Argument(args, "--socket") ?? throw new ArgumentException("serve needs --socket PATH."));
        var (keep, sequences) = (int.Parse(Argument(args, "--models") ?? "3"), int.Parse(Argument(args, "--sequences") ?? "64"));
        var threads = int.Parse(Argument(args, "--threads") ?? "1");
        var (cacheBytes, bfloat16) = (int.Parse(Argument(args, "--cache-mb") ?? "2048") * 1_000_000L, Argument(args, "--dtype") == "bf16");
        // A terminal's Ctrl-C reaches this process too; the parent decides when it ends.
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => signal.Cancel = true);
        using var models = new ModelThread(stored => Load(stored, device, sequences, threads, cacheBytes, bfloat16), keep);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socket));
        File.SetUnixFileMode(socket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        listener.Listen(512);
        await Console.Out.WriteLineAsync(Ready);
        await Console.Out.FlushAsync();
        var accepting = new ServeProcess(models, listener).AcceptAsync();
        var parent = Task.Run(() =>
        {
            while (Console.In.Read() >= 0)
            {
            }
        });
        await Task.WhenAny(accepting, parent);
        File.Delete(socket);
        // Without waiting for the step under way: nobody is left to read it.
        Environment.Exit(0);
        return 0;
    }

    private static ServedModel Load(StoredModel stored, string device, int sequences, int threads, long cacheBytes, bool bfloat16)
    {
        TorchSharp.torch.set_num_threads(threads);
        var tokenizer = Tokenizer.Load(stored.TextFolder);
        var template = ChatTemplate.Load(stored.TextFolder);
        var model = stored.Load(device);
        return new ServedModel(stored.Folder, new Engine(Decoders.For(model, ownsModel: true, bfloat16), sequences) { CacheBytes = cacheBytes }, tokenizer, template, model.Config.EndTokens);
    }

    private static string? Argument(string[] args, string name) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;

    private async Task AcceptAsync()
    {
        while (true) _ = AnswerAsync(await listener.AcceptAsync());
    }

    private async Task AnswerAsync(Socket socket)
    {
        Interlocked.Increment(ref connections);
        try
        {
            await using var stream = new NetworkStream(socket, ownsSocket: true);
            using var reader = new StreamReader(stream, new UTF8Encoding(false), leaveOpen: true);
            await using var output = new BufferedStream(stream, 1 << 14);
            using var gone = new CancellationTokenSource();
            if (await ServeProtocol.ReadAsync<ServeRequest>(reader, gone.Token) is not { } request) return;
            // The other side says nothing more: what comes is its end, and that frees the place in the batch.
            var watch = WatchAsync(reader, gone);
            await AnswerAsync(request, output, gone.Token);
            await output.FlushAsync(CancellationToken.None);
            socket.Shutdown(SocketShutdown.Both);
            await watch;
        }
        catch (Exception lost) when (lost is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The other side went away; its place is free again.
        }
        finally
        {
            Interlocked.Decrement(ref connections);
        }
    }

    private async Task AnswerAsync(ServeRequest request, BufferedStream output, CancellationToken gone)
    {
        async ValueTask Send(ServeEvent message, bool flush)
        {
            await output.WriteAsync(ServeProtocol.Line(message), gone);
            if (flush) await output.FlushAsync(gone);
        }

        try
        {
            if (request.Op == "status") await Send(new ServeEvent("status") { Models = await models.Status(), Connections = connections }, true);
            else await new ServeChat(models, Send).RunAsync(request, gone);
        }
        catch (InvalidInputException wrong)
        {
            await Send(new ServeEvent("error") { Status = 400, Message = wrong.Message, Param = wrong.Parameter, Code = wrong.Code }, true);
        }
        catch (Exception problem) when (problem is not (IOException or SocketException or OperationCanceledException))
        {
            await Console.Error.WriteLineAsync(problem.ToString());
            await Send(new ServeEvent("error") { Status = 500, Message = $"The model failed: {problem.Message}", Code = "model_failed" }, true);
        }
    }

    private static async Task WatchAsync(StreamReader reader, CancellationTokenSource gone)
    {
        try
        {
            var buffer = new char[16];
            while (await reader.ReadAsync(buffer) > 0)
            {
            }
        }
        catch (Exception lost) when (lost is IOException or SocketException or ObjectDisposedException)
        {
        }
        await gone.CancelAsync();
    }
}
