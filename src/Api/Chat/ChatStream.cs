using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Training;

namespace Gradus.Api.Chat;

/// <summary>Writes a chat as server-sent events in OpenAI's form: for each choice its role, then what is new, then why it ended; usage where asked for; [DONE].</summary>
internal static class ChatStream
{
    private static readonly byte[] prefix = "data: "u8.ToArray(), done = "data: [DONE]\n\n"u8.ToArray();

    public static async Task WriteAsync(HttpContext context, ChatRun run)
    {
        var (response, cancel) = (context.Response, context.RequestAborted);
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache";
        response.Headers["X-Accel-Buffering"] = "no";
        foreach (var choice in run.Choices) await SendAsync(new ChatChunkChoice(choice.Index, new ChatDelta("assistant", "", null, null), null, null));
        await response.Body.FlushAsync(cancel);
        try
        {
            await foreach (var (choice, delta) in run.TokensAsync(cancel))
            {
                var (reasoning, content) = (NotEmpty(delta.Text.Reasoning), NotEmpty(delta.Text.Content));
                if (reasoning is null && content is null && delta.LogProb is null && choice.FinishReason is null) continue;
                await SendAsync(new ChatChunkChoice(
                    choice.Index, new ChatDelta(null, content, reasoning, reasoning), delta.LogProb is null ? null : new ChatLogProbs([delta.LogProb]), choice.FinishReason));
                await response.Body.FlushAsync(cancel);
            }
        }
        catch (Exception broken) when (broken is ApiException or InvalidInputException)
        {
            // The status is sent; the failure goes where the client reads.
            var (code, status) = broken is ApiException known ? (known.Code, known.Status) : (null, 400);
            await WriteAsync(new ErrorEnvelope(new ErrorDetail(broken.Message, status >= 500 ? "server_error" : "invalid_request_error", null, code)));
            await response.Body.FlushAsync(cancel);
            return;
        }
        if (run.Request.IncludeUsage) await WriteAsync(new ChatChunk(run.Id, run.Created, run.Request.Model, [], run.Usage()));
        await response.Body.WriteAsync(done, cancel);

        Task SendAsync(ChatChunkChoice choice) => WriteAsync(new ChatChunk(run.Id, run.Created, run.Request.Model, [choice], null));

        async Task WriteAsync<T>(T message)
        {
            byte[] line = [.. prefix, .. JsonSerializer.SerializeToUtf8Bytes(message, Wire.Options), (byte)'\n', (byte)'\n'];
            await response.Body.WriteAsync(line, cancel);
        }
    }

    private static string? NotEmpty(string text) => text.Length == 0 ? null : text;
}
