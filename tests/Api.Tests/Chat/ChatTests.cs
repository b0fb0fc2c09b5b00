using System.ClientModel;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using OpenAI;
using OpenAI.Chat;
using Xunit;

namespace Gradus.Api.Tests.Chat;

public sealed class ChatTests(ChatHost host) : IClassFixture<ChatHost>
{
    private static readonly string[] script = ["<think>", "7", " + ", "5", "</think>", "<answer>", "8", "</answer>", "<eos>"];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_answer_has_reasoning_beside_content_and_usage()
    {
        var answer = await AskAsync(host.Scripted("tiny", script));
        Assert.Equal("chat.completion", answer["object"]!.GetValue<string>());
        Assert.StartsWith("chatcmpl-", answer["id"]!.GetValue<string>(), StringComparison.Ordinal);
        var choice = answer["choices"]![0]!;
        Assert.Equal("stop", choice["finish_reason"]!.GetValue<string>());
        Assert.Equal(("assistant", "8", "7 + 5", "7 + 5"), (Text(choice, "role"), Text(choice, "content"), Text(choice, "reasoning_content"), Text(choice, "reasoning")));
        var usage = answer["usage"]!;
        var prompt = host.Tokenizer.Encode("User: What is 1?\nAssistant:").Length;
        Assert.Equal((prompt, 9, prompt + 9), (Number(usage, "prompt_tokens"), Number(usage, "completion_tokens"), Number(usage, "total_tokens")));
        Assert.Equal(5, Number(usage["completion_tokens_details"]!, "reasoning_tokens"));
        Assert.Equal(0, Number(usage["prompt_tokens_details"]!, "cached_tokens"));
    }

    [Fact]
    public async Task A_stream_is_the_same_answer_in_pieces()
    {
        var body = host.Scripted("tiny", script);
        (body["stream"], body["stream_options"]) = (true, new JsonObject { ["include_usage"] = true });
        var events = await StreamAsync(body);
        Assert.Equal("[DONE]", events[^1]);
        var chunks = events[..^1].Select(line => JsonNode.Parse(line)!).ToArray();
        Assert.All(chunks, chunk => Assert.Equal("chat.completion.chunk", chunk["object"]!.GetValue<string>()));
        Assert.Single(chunks.Select(chunk => chunk["id"]!.GetValue<string>()).Distinct());
        Assert.Equal("assistant", chunks[0]["choices"]![0]!["delta"]!["role"]!.GetValue<string>());
        string All(string name) => string.Concat(chunks.Where(chunk => chunk["choices"]!.AsArray().Count > 0).Select(chunk => (string?)chunk["choices"]![0]!["delta"]![name]));
        Assert.Equal(("8", "7 + 5", "7 + 5"), (All("content"), All("reasoning_content"), All("reasoning")));
        Assert.True(chunks.Count(chunk => chunk["choices"]!.AsArray().Count > 0 && chunk["choices"]![0]!["delta"]!["reasoning"] is not null) > 1);
        Assert.Equal("stop", chunks[^2]["choices"]![0]!["finish_reason"]!.GetValue<string>());
        Assert.Empty(chunks[^1]["choices"]!.AsArray());
        Assert.Equal(5, Number(chunks[^1]["usage"]!["completion_tokens_details"]!, "reasoning_tokens"));
    }

    [Fact]
    public async Task An_unclosed_reasoning_leaves_the_content_empty()
    {
        var body = host.Scripted("tiny", script);
        body["max_tokens"] = 3;
        var choice = (await AskAsync(body))["choices"]![0]!;
        Assert.Equal(("length", "", "7 +"), (choice["finish_reason"]!.GetValue<string>(), Text(choice, "content"), Text(choice, "reasoning")));
    }

    [Fact]
    public async Task The_official_client_chats_and_streams()
    {
        var client = new ChatClient("tiny", new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(host.Address, "/v1") });
        var options = new ChatCompletionOptions { Temperature = 0.8f, MaxOutputTokenCount = 20, TopP = 0.95f, IncludeLogProbabilities = true, TopLogProbabilityCount = 2 };
#pragma warning disable OPENAI001 // The seed is marked as an experiment.
        options.Seed = 7;
#pragma warning restore OPENAI001
        options.LogitBiases[1] = -100;
        var messages = new ChatMessage[] { new SystemChatMessage("Be brief."), new UserChatMessage("What is 4 + 5?") };
        var whole = (await client.CompleteChatAsync(messages, options, Cancel)).Value;
        Assert.Equal(ChatFinishReason.Length, whole.FinishReason);
        Assert.Equal(20, whole.Usage.OutputTokenCount);
        Assert.Equal(20, whole.ContentTokenLogProbabilities.Count);
        Assert.All(whole.ContentTokenLogProbabilities, token => Assert.Equal(2, token.TopLogProbabilities.Count));
        Assert.Contains(whole.ContentTokenLogProbabilities, token => token.LogProbability < -0.1);

        var text = new StringBuilder();
        ChatFinishReason? finish = null;
        var tokens = 0;
        await foreach (var update in client.CompleteChatStreamingAsync(messages, options, Cancel))
        {
            foreach (var part in update.ContentUpdate) text.Append(part.Text);
            finish ??= update.FinishReason;
            tokens = update.Usage?.OutputTokenCount ?? tokens;
        }
        Assert.Equal(ChatFinishReason.Length, finish);
        Assert.Equal(20, tokens);
        // Random weights may write an answer's tag, which a stream has already passed when the whole is cut at it.
        if (!whole.Content[0].Text.Contains('<', StringComparison.Ordinal) && !text.ToString().Contains('<', StringComparison.Ordinal)) Assert.Equal(whole.Content[0].Text, text.ToString());

        var refused = await Assert.ThrowsAsync<ClientResultException>(() => client.CompleteChatAsync(messages, new ChatCompletionOptions { Temperature = 9 }, Cancel));
        Assert.Equal(400, refused.Status);
    }

    [Fact]
    public async Task A_seed_repeats_and_choices_differ()
    {
        JsonObject Body() => new() { ["model"] = "tiny", ["messages"] = User("What is 4 + 5?"), ["n"] = 3, ["seed"] = 11, ["max_tokens"] = 30, ["stop"] = "<" };
        string[] Contents(JsonNode answer) => [.. answer["choices"]!.AsArray().Select(choice => Text(choice!, "content"))];
        var first = await AskAsync(Body());
        Assert.Equal([0, 1, 2], first["choices"]!.AsArray().Select(choice => Number(choice!, "index")));
        Assert.Equal(Contents(first), Contents(await AskAsync(Body())));
        Assert.Equal(3, Contents(first).Distinct().Count());
        var other = Body();
        other["seed"] = 12;
        Assert.NotEqual(Contents(first), Contents(await AskAsync(other)));
    }

    [Fact]
    public async Task A_stop_text_ends_the_answer_before_it()
    {
        var body = host.Scripted("tiny", "7", "8", "9", "5", "4");
        body["stop"] = new JsonArray("zzz", "95");
        var answer = await AskAsync(body);
        Assert.Equal("78", Text(answer["choices"]![0]!, "content"));
        Assert.Equal("stop", answer["choices"]![0]!["finish_reason"]!.GetValue<string>());
        Assert.Equal(4, Number(answer["usage"]!, "completion_tokens"));
    }

    [Fact]
    public async Task The_last_message_can_be_continued()
    {
        var body = host.Scripted("tiny", "7", "<eos>");
        (body["continue_final_message"], body["add_generation_prompt"]) = (true, false);
        body["messages"]!.AsArray().Add(new JsonObject { ["role"] = "assistant", ["content"] = "<think>" });
        var answer = await AskAsync(body);
        Assert.Equal("7", Text(answer["choices"]![0]!, "reasoning"));
        Assert.Equal(host.Tokenizer.Encode("User: What is 1?\nAssistant:<think>").Length, Number(answer["usage"]!, "prompt_tokens"));
    }

    [Theory]
    [InlineData("{\"model\":\"nope\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 404, "model", "model_not_found")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":9}", 400, "temperature", "out_of_range")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{}]}", 400, "tools", "unsupported_parameter")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"logit_bias\":{\"62\":5}}", 400, "logit_bias", "out_of_range")]
    [InlineData("{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":257}", 400, "max_tokens", "out_of_range")]
    [InlineData("{\"model\": \"x\", ", 400, null, "invalid_json")]
    [InlineData("[1,2]", 400, null, "invalid_type")]
    [InlineData("", 400, null, "invalid_json")]
    public async Task Wrong_input_is_refused_in_the_envelope(string body, int status, string? parameter, string code)
    {
        foreach (var sent in new[] { body, body.Replace("\"model\":\"tiny\",", "\"model\":\"tiny\",\"stream\":true,", StringComparison.Ordinal) })
        {
            using var response = await PostAsync(sent);
            var error = JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancel))!["error"]!;
            Assert.Equal((status, parameter, code), ((int)response.StatusCode, (string?)error["param"], (string?)error["code"]));
        }
    }

    [Fact]
    public async Task A_second_turn_takes_the_first_from_the_cache_and_says_so()
    {
        var body = new JsonObject { ["model"] = "long", ["messages"] = User("8 - 3 + 5 - 2 + 9 - 1 + 1"), ["max_tokens"] = 30, ["seed"] = 4, ["logit_bias"] = new JsonObject { ["1"] = -100 } };
        var first = await AskAsync(body);
        var before = await StatusAsync();
        Assert.Equal(0, Number(first["usage"]!["prompt_tokens_details"]!, "cached_tokens"));
        body["messages"] = new JsonArray(
            User("8 - 3 + 5 - 2 + 9 - 1 + 1")[0]!.DeepClone(), new JsonObject { ["role"] = "assistant", ["content"] = "<answer>7</answer>" }, new JsonObject { ["role"] = "user", ["content"] = "And 2 more?" });
        var second = await AskAsync(body);
        var (prompt, cached) = (Number(second["usage"]!, "prompt_tokens"), Number(second["usage"]!["prompt_tokens_details"]!, "cached_tokens"));
        // Whole pages of the first turn's prompt.
        Assert.Equal(Number(first["usage"]!, "prompt_tokens") / 16 * 16, cached);
        Assert.InRange(cached, 16, prompt - 1);
        var after = await StatusAsync();
        Assert.Equal((prompt - cached, cached), (Number(after, "computed_tokens") - Number(before, "computed_tokens"), Number(after, "cached_tokens") - Number(before, "cached_tokens")));
        // The same question in a stream, with another answer beside it.
        (body["stream"], body["stream_options"], body["n"]) = (true, new JsonObject { ["include_usage"] = true }, 2);
        var usage = JsonNode.Parse((await StreamAsync(body))[^2])!["usage"]!;
        Assert.Equal((prompt, (prompt - 1) / 16 * 16), (Number(usage, "prompt_tokens"), Number(usage["prompt_tokens_details"]!, "cached_tokens")));

        async Task<JsonNode> StatusAsync()
        {
            var models = JsonNode.Parse(await host.Client.GetStringAsync("/v1/chat/status", Cancel))!["models"]!.AsArray();
            return models.Single(model => (string?)model!["model"] == "long")!;
        }
    }

    [Fact]
    public async Task A_prompt_that_is_too_long_is_refused_with_numbers()
    {
        using var response = await PostAsync(new JsonObject { ["model"] = "tiny", ["messages"] = User(new string('7', 300)) }.ToJsonString());
        var error = JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancel))!["error"]!;
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("context_length_exceeded", (string?)error["code"]);
        Assert.Contains("256", (string?)error["message"]);
        Assert.Contains($"{host.Tokenizer.Encode("User: " + new string('7', 300) + "\nAssistant:").Length}", (string?)error["message"]);
    }

    [Fact]
    public async Task Without_max_tokens_an_answer_may_fill_the_context()
    {
        var body = host.Scripted("tiny", "7");
        body["logit_bias"]!["1"] = -100;
        var answer = await AskAsync(body);
        Assert.Equal("length", answer["choices"]![0]!["finish_reason"]!.GetValue<string>());
        Assert.Equal(256, Number(answer["usage"]!, "total_tokens"));
    }

    private async Task<JsonNode> AskAsync(JsonObject body)
    {
        using var response = await PostAsync(body.ToJsonString());
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonNode.Parse(text)!;
    }

    private async Task<string[]> StreamAsync(JsonObject body)
    {
        using var response = await PostAsync(body.ToJsonString());
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        return [.. text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(line => line["data: ".Length..])];
    }

    private Task<HttpResponseMessage> PostAsync(string body) => host.Client.PostAsync("/v1/chat/completions", new StringContent(body, Encoding.UTF8, "application/json"), Cancel);

    private static JsonArray User(string text) => [new JsonObject { ["role"] = "user", ["content"] = text }];

    private static string Text(JsonNode choice, string name) => choice["message"]![name]!.GetValue<string>();

    private static int Number(JsonNode node, string name) => node[name]!.GetValue<int>();
}
