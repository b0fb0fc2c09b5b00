using Gradus.Api.Operations;
using Gradus.Persistence;

namespace Gradus.Api.Jobs;

/// <summary>
/// Progress as server-sent events. Each step is an event <c>progress</c>, and so is each change of status; the stream closes after an event <c>done</c>. An
/// event's id says where it stands, and a client that comes back with Last-Event-ID gets every step it missed.
/// </summary>
internal static class ProgressEndpoints
{
    public static void MapProgress(this WebApplication app)
    {
        app.MapGet("/v1/jobs/{id}/progress", async (string id, HttpContext context, RunQueries runs, ProgressStream stream) =>
            {
                var job = await runs.RequireJobAsync(id, context.RequestAborted);
                await stream.WriteAsync(context, job.RunId, job.Id);
            })
            .Describe("Jobs", "Follow a job", "Server-sent events: `progress` at each step, then `done`. Send Last-Event-ID to go on where a connection broke; 204 when all of it was read.")
            .WithJobId().Returns<ProgressContract>(200, "text/event-stream");
        app.MapGet("/v1/runs/{id}/progress", async (string id, HttpContext context, RunQueries runs, ProgressStream stream) =>
            {
                var run = await runs.RequireRunAsync(id, context.RequestAborted);
                await stream.WriteAsync(context, run.Id, null);
            })
            .Describe("Runs", "Follow a run", "Server-sent events, job after job: `progress` at each step, then `done`. Send Last-Event-ID to go on where a connection broke; 204 when all of it was read.")
            .WithRunId().Returns<ProgressContract>(200, "text/event-stream");
    }
}
