using Gradus.Api.Operations;

namespace Gradus.Api.Chat;

/// <summary>POST /v1/chat/completions.</summary>
internal static class ChatEndpoints
{
    private const string Example = """
        {"model": "tiny", "messages": [{"role": "user", "content": "What is 47 + 8 - 5 + 9?"}], "temperature": 0.6, "max_tokens": 120, "seed": 1}
        """;

    public static IServiceCollection AddChat(this IServiceCollection services) =>
        services.AddSingleton<IModelFolders, CatalogModelFolders>().AddSingleton<ServedModels>().AddSingleton<ChatService>();

    public static void MapChat(this WebApplication app)
    {
        app.MapGet("/v1/chat/status", async (ChatService chats, CancellationToken cancel) => Results.Json(await chats.StatusAsync(cancel), Wire.Options))
            .Describe("Chat", "See what chat does", "The models that are loaded, by which kernel each computes, how many answers run and wait, and what the cache of keys and values saved and takes.")
            .Returns<ChatStatus>(200);
        app.MapPost("/v1/chat/completions", AnswerAsync)
            .Describe(
                "Chat", "Talk to a model",
                "OpenAI's shape, with any finished model by id or alias. reasoning_content (and, the same, reasoning) is what the model wrote in its think tags; content is the "
                + "answer alone. The demo trains the model r1-zero-tiny; tiny is the same one untrained. With \"stream\": true the answer comes as server-sent events. Beyond OpenAI's fields: top_k, min_p, repetition_penalty, continue_final_message.")
            .Takes<ChatRequestContract>(Example).Returns<ChatCompletion>(200);
    }

    private static async Task AnswerAsync(HttpContext context, ChatService chats)
    {
        JsonBody.RequireType(context.Request, "application/json");
        var request = ChatRequestReader.Read(JsonBody.Parse(await JsonBody.ReadBytesAsync(context)));
        await using var run = await chats.StartAsync(request, context.RequestAborted);
        if (request.Stream)
        {
            await ChatStream.WriteAsync(context, run);
            return;
        }
        await foreach (var _ in run.TokensAsync(context.RequestAborted))
        {
            // Each is taken into its choice.
        }
        var answer = new ChatCompletion(run.Id, run.Created, request.Model, [.. run.Choices.Select(choice => choice.Choice())], run.Usage());
        await context.Response.WriteAsJsonAsync(answer, Wire.Options, context.RequestAborted);
    }
}
