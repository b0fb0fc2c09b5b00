using System.Text;
using System.Text.Json.Nodes;
using Xunit;

namespace Gradus.Api.Tests.Chat;

/// <summary>What a model's chat template decides, over HTTP: a reasoning that it opens, and what it refuses.</summary>
public sealed class TemplateChatTests(ChatHost host) : IClassFixture<ChatHost>
{
    private static readonly string[] script = ["7", " + ", "5", "</think>", "<answer>", "8", "</answer>", "<eos>"];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_reasoning_that_the_template_opens_is_reasoning()
    {
        var answer = await AskAsync(host.Scripted("thinking", script));
        var message = answer["choices"]![0]!["message"]!;
        Assert.Equal(("8", "7 + 5", "7 + 5"), ((string?)message["content"], (string?)message["reasoning_content"], (string?)message["reasoning"]));
        Assert.Equal(host.Tokenizer.Encode("User: What is 1?\nAssistant:<think>\n").Length, (int)answer["usage"]!["prompt_tokens"]!);
        Assert.Equal(4, (int)answer["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!);
    }

    [Fact]
    public async Task A_stream_begins_within_the_reasoning_that_the_template_opened()
    {
        var body = host.Scripted("thinking", script);
        body["stream"] = true;
        using var response = await PostAsync(body);
        var deltas = (await response.Content.ReadAsStringAsync(Cancel)).Split("\n\n", StringSplitOptions.RemoveEmptyEntries)[..^1]
            .Select(line => JsonNode.Parse(line["data: ".Length..])!["choices"]![0]!["delta"]!).ToArray();
        string All(string name) => string.Concat(deltas.Select(delta => (string?)delta[name]));
        Assert.Equal(("8", "7 + 5", "7 + 5"), (All("content"), All("reasoning_content"), All("reasoning")));
        // Nothing of the reasoning is taken for content, at any moment.
        Assert.True(Array.FindIndex(deltas, delta => (string?)delta["content"] == "8") > Array.FindLastIndex(deltas, delta => delta["reasoning_content"] is not null));
    }

    [Fact]
    public async Task A_reasoning_that_the_template_closes_is_none()
    {
        var body = host.Scripted("thinking", "7", "<eos>");
        body["chat_template_kwargs"] = new JsonObject { ["enable_thinking"] = false };
        var message = (await AskAsync(body))["choices"]![0]!["message"]!;
        Assert.Equal(("7", null), ((string?)message["content"], (string?)message["reasoning_content"]));
    }

    [Fact]
    public async Task An_answer_continued_within_its_reasoning_goes_on_there()
    {
        var body = host.Scripted("thinking", "5", "</think>", "8", "<eos>");
        (body["continue_final_message"], body["add_generation_prompt"]) = (true, false);
        body["messages"]!.AsArray().Add(new JsonObject { ["role"] = "assistant", ["content"] = "<think>7 + " });
        var message = (await AskAsync(body))["choices"]![0]!["message"]!;
        Assert.Equal("8", (string?)message["content"]);
        Assert.Equal("5", (string?)message["reasoning_content"]);
    }

    [Theory]
    [InlineData("thinking", "tool", null, "No tools here.", "invalid_value")]
    [InlineData("thinking", "user", "[]", "must be an object", "invalid_type")]
    [InlineData("greedy", "user", null, "it may allocate 1073741824 bytes", "out_of_range")]
    public async Task What_the_template_refuses_is_a_400_that_says_so(string model, string role, string? arguments, string why, string code)
    {
        foreach (var stream in new[] { false, true })
        {
            var body = new JsonObject { ["model"] = model, ["messages"] = new JsonArray(new JsonObject { ["role"] = role, ["content"] = "4" }), ["stream"] = stream };
            if (arguments is not null) body["chat_template_kwargs"] = JsonNode.Parse(arguments);
            using var response = await PostAsync(body);
            var error = JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancel))!["error"]!;
            Assert.Equal((400, code), ((int)response.StatusCode, (string?)error["code"]));
            Assert.Contains(why, (string?)error["message"], StringComparison.Ordinal);
        }

        // The next chat is answered by the same child.
        Assert.Equal("7", (string?)(await AskAsync(host.Scripted("tiny", "7", "<eos>")))["choices"]![0]!["message"]!["content"]);
    }

    private async Task<JsonNode> AskAsync(JsonObject body)
    {
        using var response = await PostAsync(body);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonNode.Parse(text)!;
    }

    private Task<HttpResponseMessage> PostAsync(JsonObject body) =>
        host.Client.PostAsync("/v1/chat/completions", new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"), Cancel);
}
