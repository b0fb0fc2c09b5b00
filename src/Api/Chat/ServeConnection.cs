using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Training;

namespace Gradus.Api.Chat;

/// <summary>One request to the serve child and its events. Disposing it early frees the request's place in the child.</summary>
internal sealed class ServeConnection : IAsyncDisposable
{
    private readonly NetworkStream stream;
    private readonly StreamReader reader;

    private ServeConnection(NetworkStream stream) => (this.stream, reader) = (stream, new StreamReader(stream, new UTF8Encoding(false)));

    public static async Task<ServeConnection> OpenAsync(Socket socket, ServeRequest request, CancellationToken cancel)
    {
        var stream = new NetworkStream(socket, ownsSocket: true);
        await stream.WriteAsync(ServeProtocol.Line(request), cancel);
        return new ServeConnection(stream);
    }

    /// <summary>The next event; null after the end.</summary>
    /// <exception cref="InvalidInputException">The child refused the request.</exception>
    /// <exception cref="ApiException">503: the child died. 500: the model failed.</exception>
    public async Task<ServeEvent?> ReadAsync(CancellationToken cancel)
    {
        ServeEvent? next;
        try
        {
            next = await ServeProtocol.ReadAsync<ServeEvent>(reader, cancel);
        }
        catch (Exception lost) when (lost is IOException or SocketException or JsonException)
        {
            throw ServedModels.Unavailable();
        }
        return next switch
        {
            null => throw ServedModels.Unavailable(),
            { Type: "end" } => null,
            { Type: "error", Status: 400 } refused => throw new InvalidInputException(refused.Message!, refused.Param, refused.Code ?? "invalid_value"),
            { Type: "error" } failed => throw new ApiException(failed.Status, failed.Message!, failed.Param, failed.Code),
            _ => next,
        };
    }

    public async IAsyncEnumerable<ServeEvent> ReadAllAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        while (await ReadAsync(cancel) is { } next) yield return next;
    }

    public async ValueTask DisposeAsync()
    {
        reader.Dispose();
        await stream.DisposeAsync();
    }
}
