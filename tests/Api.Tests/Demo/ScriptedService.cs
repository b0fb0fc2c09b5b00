using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace Gradus.Api.Tests.Demo;

/// <summary>Answers as the service does, from a run whose jobs go one step further each time they are asked for.</summary>
internal sealed class ScriptedService : HttpMessageHandler
{
    private readonly JsonArray jobs = [.. new[] { Job("base", "pretrain", 2), Job("base-evaluation", "evaluate", 1), Job("r1-zero", "grpo", 3), Job("evaluation", "evaluate", 1) }];

    public List<string> Requests { get; } = [];

    /// <summary>What GET /v1/runs lists.</summary>
    public JsonArray Runs { get; } = [];

    /// <summary>The stage that fails at its first step; null for none.</summary>
    public string? Fails { get; init; }

    /// <summary>As if all had run before.</summary>
    public void Finish()
    {
        while (Advance()) { }
        Runs.Add(Run());
    }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancel)
    {
        var (path, body) = (request.RequestUri!.PathAndQuery, request.Content is null ? "" : await request.Content.ReadAsStringAsync(cancel));
        Requests.Add($"{request.Method} {path} {body}".Trim());
        return (request.Method.Method, path.Split('?')[0]) switch
        {
            ("GET", "/v1/runs") => List([.. Runs.Select(run => run!.DeepClone())]),
            ("POST", "/v1/runs") => Answer(201, Run()),
            ("GET", "/v1/runs/run_1") => Next(),
            ("GET", "/v1/jobs/job_r1-zero/metrics") => List(Metrics(("reward", 0.25), ("pass_rate", 0.5), ("completions/mean_length", 40), ("step_time", 2), ("num_tokens", 1000))),
            ("GET", var metrics) when metrics.EndsWith("/metrics", StringComparison.Ordinal) => List(Metrics(("loss", 1.5), ("step_time", 1))),
            ("GET", "/v1/jobs/job_r1-zero/samples") => List(Samples(path.Contains("step=1&", StringComparison.Ordinal) ? "untrained" : "trained")),
            ("GET", "/v1/datasets/running-sums-held-out/rows") => List([JsonNode.Parse("""{"index":0,"content":{"prompt":"User: What is 47 + 8?\nAssistant:","answer":"55","language":"en"}}""")]),
            ("POST", "/v1/chat/completions") => Answer(200, JsonNode.Parse("""{"choices":[{"message":{"reasoning_content":"47 + 8 = 55","content":"55"}}]}""")!),
            _ => Answer(404, JsonNode.Parse("""{"error":{"message":"There is no such route.","type":"invalid_request_error","param":null,"code":"not_found"}}""")!),
        };
    }

    private HttpResponseMessage Next()
    {
        Advance();
        return Answer(200, Run());
    }

    private bool Advance()
    {
        var job = jobs.FirstOrDefault(job => (string?)job!["status"] is "queued" or "running");
        if (job is null) return false;
        job["status"] = "running";
        job["step"] = (int)job["step"]! + 1;
        if ((string?)job["name"] == Fails)
        {
            job["status"] = "failed";
            job["error"] = JsonNode.Parse("""{"phase":"rollout","message":"out of memory"}""");
            foreach (var later in jobs.Where(later => (string?)later!["status"] == "queued")) later!["status"] = "cancelled";
        }
        else if ((int)job["step"]! == (int)job["total_steps"]!)
        {
            job["status"] = "succeeded";
            if ((string?)job["stage"] == "evaluate") job["result"] = new JsonObject { ["held-out/pass@1"] = (string?)job["name"] == "evaluation" ? 0.875 : 0.125 };
        }
        return true;
    }

    private JsonObject Run() => new()
    {
        ["id"] = "run_1", ["name"] = "demo", ["status"] = jobs.All(job => (string?)job!["status"] == "succeeded") ? "succeeded" : "running", ["jobs"] = jobs.DeepClone(),
    };

    private static JsonObject Job(string name, string stage, int steps) => new()
    {
        ["id"] = $"job_{name}", ["name"] = name, ["stage"] = stage, ["status"] = "queued", ["step"] = 0, ["total_steps"] = steps, ["model"] = null, ["result"] = null, ["error"] = null,
    };

    private static JsonArray Metrics(params (string Name, double Value)[] values) =>
        [.. values.Select(value => new JsonObject { ["step"] = 1, ["name"] = value.Name, ["value"] = value.Value })];

    private static JsonArray Samples(string word) =>
        [.. Enumerable.Range(0, 48).Select(i => new JsonObject { ["prompt"] = $"prompt {i / 16}", ["completion"] = $"{word} {i}", ["reward"] = 1.2 })];

    private static HttpResponseMessage List(JsonArray data) => Answer(200, new JsonObject { ["object"] = "list", ["data"] = data, ["has_more"] = false });

    private static HttpResponseMessage Answer(int status, JsonNode body) =>
        new((HttpStatusCode)status) { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
}
